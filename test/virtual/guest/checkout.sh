#!/bin/sh
# The checkout of the host outside, as it was when this one was started, at the path it has there; and what commands come through.
mkdir -p /run/virtual-host
modprobe virtio_console
checkout=$(sed -n 's/.*checkout=\([^ ]*\).*/\1/p' /proc/cmdline)
mkdir -p "$checkout"
mount -t ext4 -o ro /dev/vdb "$checkout"
mount -t ext4 -o ro /dev/vdc "$checkout/node_modules"
# Read in whole and ahead, which is quicker than page by page.
cat "$checkout/node_modules/.bin/node" >/dev/null &
