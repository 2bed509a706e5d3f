#!/usr/bin/env bash
# Trains on a TPU pod slice and keeps at it: asks for the slice, runs on all its hosts, asks again when it is preempted.
# Run it where it can stay for as long as the training takes: a small VM, or a terminal that is left open.
#
#   NAME=r50 ZONE=us-east5-b TYPE=v6e-16 VERSION=v2-alpha-tpuv6e OUT=/runs/r50 SETUP='sh /runs/setup.sh' \
#       experiments/launch/tpu_pod.sh --model resnet50 --data /runs/imagenet --batch-size 1024 --save-every 600s
#
# NAME         of the queued resource and of its node
# ZONE, TYPE   where, and which slice
# VERSION      the TPU software, which goes with TYPE
# OUT          the run directory, on storage that every host sees (NFS; a bucket renames folders piece by piece)
# SETUP        run on every host before each start: mounts the storage, installs jaxconv[tpu]; must bear repetition
# CAPACITY     --spot; "" for on demand, --reserved for a reservation
# MAX_RETRIES  how often a failure that is no preemption is tried again; 3
# SECONDS_BETWEEN  two looks at a request that waits; 60
set -u
: "${NAME:?}" "${ZONE:?}" "${TYPE:?}" "${VERSION:?}" "${OUT:?}" "${SETUP:?}"

state() {
  gcloud compute tpus queued-resources describe "$NAME" --zone="$ZONE" --format='value(state.state)' 2>/dev/null
}

failures=0
failed() {
  failures=$((failures + 1))
  echo "failure $failures: $1" >&2
  ((failures <= ${MAX_RETRIES:-3})) || exit 1
}

# Returns when the slice is there. A request that was preempted or failed never comes back by itself: it is made anew.
obtain() {
  while :; do
    case $(state) in
      ACTIVE) return ;;
      FAILED | SUSPENDED)
        gcloud compute tpus queued-resources delete "$NAME" --zone="$ZONE" --force --quiet ||
          failed "the request cannot be deleted"
        ;;
      "") # there is none, or gcloud could not say: then it exists, and making it fails and is tried again
        # shellcheck disable=SC2086  # an empty CAPACITY is no argument
        gcloud compute tpus queued-resources create "$NAME" --node-id="$NAME" --zone="$ZONE" \
          --accelerator-type="$TYPE" --runtime-version="$VERSION" ${CAPACITY---spot} ||
          failed "the request cannot be made"
        ;;
    esac
    sleep "${SECONDS_BETWEEN:-60}"
  done
}

# Each host says itself how it ended: one code of ssh cannot speak for several. After a lost connection the lock holds a
# new start back until the old process has gone, so that two never write into one run directory.
train="flock /tmp/jaxconv.lock jaxconv train $(printf '%q ' "$@")--out $(printf '%q' "$OUT")"
remote="{ $SETUP; } && $train; echo jaxconv-exit \$?"
log=$(mktemp)
trap 'rm -f "$log"' EXIT

while :; do
  obtain
  gcloud compute tpus tpu-vm ssh "$NAME" --zone="$ZONE" --worker=all --command="$remote" 2>&1 | tee "$log"
  codes=" $(grep -oE 'jaxconv-exit [0-9]+' "$log" | cut -d' ' -f2 | sort -nu | tr '\n' ' ')"
  case $codes in
    *" 2 "*) exit 2 ;;     # a mistake in the call: again would be the same again
    *" 130 "*) exit 130 ;; # stopped by a person
    " 0 ") exit 0 ;;
    *" 42 "*) continue ;; # saved when the slice was taken away
  esac
  [[ $(state) == ACTIVE ]] || continue # taken away before anything could be saved
  failed "the hosts ended with$codes"
done
