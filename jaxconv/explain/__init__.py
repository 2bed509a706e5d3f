"""Looking into networks: what they hold and cost, what they see, what they answer to."""
