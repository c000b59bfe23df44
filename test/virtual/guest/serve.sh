#!/bin/bash
# Runs one command after another for the other end of the virtio port NAME: a line with a nonce, the seconds it may take, and the
# command in base64; back comes its output as it is written, then a line with the nonce, the exit code and the size of its
# error output, then that. Only what is read from the port's one descriptor and written to it counts: a program left in the
# background holds nothing up.
name=$1
for port in /sys/class/virtio-ports/*; do
  if [ "$(cat "$port/name" 2>/dev/null)" = "$name" ]; then device=/dev/${port##*/}; fi
done
if [ -z "${device:-}" ]; then exec sleep 1; fi
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/root
exec 3<>"$device"
while read -r nonce seconds text <&3; do
  printf %s "$text" | base64 -d >"/run/virtual-host/$name.command"
  timeout -k 5 "$seconds" bash "/run/virtual-host/$name.command" </dev/null 2>"/run/virtual-host/$name.errors" >&3 3>&-
  code=$?
  printf '\n%s %s %s\n' "$nonce" "$code" "$(stat -c %s "/run/virtual-host/$name.errors")" >&3
  cat "/run/virtual-host/$name.errors" >&3
done
sleep 1
