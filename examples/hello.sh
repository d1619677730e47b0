#!/bin/sh
# Says hello to an address, or to oneself, and prints what comes. Needs nc (netcat-openbsd) and jq.
# Usage: hello.sh [PORT [ADDRESS [COUNT]]], with a port of `nym-client tcpsocket`.
set -eu

# Requests from standard input, one per line, over one connection; prints $1 of each answer.
ask() {
  answers=$(nc -N 127.0.0.1 "$port") || {
    echo "no client listens on port $port; start one: nym-client tcpsocket --id ID" >&2
    exit 1
  }
  printf '%s\n' "$answers" |
    jq -r "if .type == \"error\" then .message + \"\n\" | halt_error(1) else $1 end"
}

port=${1:-9001}
count=${3:-1}
own=$(echo '{"type":"ownDetails"}' | ask .address)
echo "I am $own"
seq "$count" | jq -c --arg to "${2:-$own}" \
  '{type: "send", recipient_address: $to, message: "Hello from a shell!"}' | ask empty

while [ "$count" -gt 0 ]; do
  messages=$(echo '{"type":"fetch"}' | ask '.messages[]')
  if [ -n "$messages" ]; then
    echo "$messages"
    count=$((count - $(echo "$messages" | wc -l)))
  else
    sleep 0.5
  fi
done
