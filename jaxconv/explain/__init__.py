"""Looking into networks: what they hold and cost, what they see, what they answer to."""

from jaxconv.explain.summary import Row, Summary, summary, summary_table

__all__ = ["Row", "Summary", "summary", "summary_table"]
