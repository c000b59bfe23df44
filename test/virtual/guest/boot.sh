#!/bin/sh
# What a host's own start-up does before anything of Cenote runs: the kernel's file systems, one cgroup v2 tree, the checkout.
mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs /run
mkdir -p /dev/pts /dev/shm /run/virtual-host
mount -t devpts -o mode=600,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
ln -sfn /proc/self/fd /dev/fd
mount --make-rshared /
hostname virtual
ip link set lo up
modprobe -a virtio_console 9pnet_virtio 9p
checkout=$(sed -n 's/.*checkout=\([^ ]*\).*/\1/p' /proc/cmdline)
mkdir -p "$checkout"
options=trans=virtio,version=9p2000.L,msize=524288,cache=loose,ro
mount -t 9p -o "$options" checkout "$checkout"
mount -t 9p -o "$options" modules "$checkout/node_modules"
# Read in whole and ahead, which by 9p is much quicker than page by page.
cat "$(readlink -f "$checkout/node_modules/.bin/node")" >/dev/null &
for setting in /etc/sysctl.d/*.conf; do [ -f "$setting" ] && sysctl -q -e -p "$setting"; done
echo virtual host is up >/dev/console
