#!/bin/sh
# What a host's own start-up does before anything of Cenote runs, where there is no systemd: the kernel's file systems, one cgroup v2
# tree, kernel settings. Then the checkout.
mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs /run
mkdir -p /dev/pts /dev/shm
mount -t devpts -o mode=600,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
ln -sfn /proc/self/fd /dev/fd
mount --make-rshared /
hostname virtual
ip link set lo up
for setting in /etc/sysctl.d/*.conf; do [ -f "$setting" ] && sysctl -q -e -p "$setting"; done
/etc/virtual-host/checkout.sh
echo virtual host is up >/dev/console
