package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const (
	mountAttributes = unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
	mountFlags      = unix.ST_RDONLY | unix.ST_NOSUID | unix.ST_NODEV | unix.ST_NOEXEC
)

// treeMounter sets a mount's attributes before it is attached. A bind mount that is remounted read-only would have
// reached the node's other mount namespaces before, and stay writable there: they are not told of new attributes.
type treeMounter struct{}

func (treeMounter) mount(source, target string) error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return kernelError("clone the mount of "+source, err)
	}
	defer unix.Close(tree)
	attributes := unix.MountAttr{Attr_set: mountAttributes, Propagation: unix.MS_PRIVATE}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attributes); err != nil {
		return kernelError("make the mount read-only", err)
	}
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return kernelError("mount at "+target, err)
	}
	return nil
}

func kernelError(what string, err error) error {
	if errors.Is(err, unix.ENOSYS) {
		return fmt.Errorf("%s: the kernel is older than 5.12", what)
	}
	return fmt.Errorf("%s: %w", what, err)
}

func (treeMounter) isMounted(target string) (bool, error) {
	var found unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, target, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, unix.STATX_TYPE, &found)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at %s: %w", target, err)
	}
	return found.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, nil
}

func (treeMounter) shows(source, target string) (bool, error) {
	wanted, err := os.Stat(source)
	if err != nil {
		return false, err
	}
	found, err := os.Stat(target)
	if err != nil {
		return false, err
	}
	var system unix.Statfs_t
	if err := unix.Statfs(target, &system); err != nil {
		return false, fmt.Errorf("look at %s: %w", target, err)
	}
	return os.SameFile(wanted, found) && system.Flags&mountFlags == mountFlags, nil
}

func (m treeMounter) unmount(target string) error {
	for {
		if err := unix.Unmount(target, unix.UMOUNT_NOFOLLOW); err != nil {
			return fmt.Errorf("unmount %s: %w", target, err)
		}
		if mounted, err := m.isMounted(target); !mounted || err != nil {
			return err
		}
	}
}
