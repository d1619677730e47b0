#!/bin/sh
# Says hello to an address, or to oneself, and prints what comes. Needs nc (netcat-openbsd) and jq.
# Usage: hello.sh [PORT [ADDRESS]], with a port of `nym-client tcpsocket`.
set -eu

ask() {
  nc -N 127.0.0.1 "$port" | jq -r "if .type == \"error\" then .message + \"\n\" | halt_error(1) else $1 end"
}

port=${1:-9001}
own=$(echo '{"type":"ownDetails"}' | ask .address)
echo "I am $own"
jq -nc --arg to "${2:-$own}" \
  '{type: "send", recipient_address: $to, message: "Hello from a shell!"}' | ask empty

messages=
while [ -z "$messages" ]; do
  sleep 0.5
  messages=$(echo '{"type":"fetch"}' | ask '.messages[]')
done
echo "$messages"
