"""One command under Debian's generic kernel: QEMU, with this machine's root file system read-only below an overlay."""
