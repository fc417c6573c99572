package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// ownMounts moves the test to a mount namespace of its own, which ends with its thread.
func ownMounts(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Skipf("mounts need a privileged root: %v", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
}

// node has pods' volumes as a driver sees them, and the same as the kubelet does, by a mount that shares.
func node(t *testing.T) (source, target, kubelets string) {
	t.Helper()
	directory := t.TempDir()
	source = filepath.Join(directory, "agent")
	drivers, hosts := filepath.Join(directory, "driver"), filepath.Join(directory, "host")
	for _, path := range []string{source, drivers, hosts} {
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []error{
		unix.Mount("tmpfs", hosts, "tmpfs", 0, ""),
		unix.Mount("", hosts, "", unix.MS_SHARED, ""),
		unix.Mount(hosts, drivers, "", unix.MS_BIND, ""),
		os.Mkdir(filepath.Join(drivers, "mount"), 0o755),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
	t.Cleanup(func() {
		_ = unix.Unmount(drivers, unix.MNT_DETACH)
		_ = unix.Unmount(hosts, unix.MNT_DETACH)
	})
	return source, filepath.Join(drivers, "mount"), filepath.Join(hosts, "mount")
}

func expectMounted(t *testing.T, path string, wanted bool) {
	t.Helper()
	if mounted, err := (treeMounter{}).isMounted(path); mounted != wanted || err != nil {
		t.Fatalf("%s is mounted: %t, %v", path, mounted, err)
	}
}

func TestMountsReadOnlyForDriverAndKubelet(t *testing.T) {
	ownMounts(t)
	source, target, kubelets := node(t)
	var m treeMounter
	expectMounted(t, filepath.Join(target, "gone"), false)
	expectMounted(t, target, false)
	if err := m.mount(source, target); err != nil {
		t.Fatal(err)
	}
	socket, err := net.Listen("unix", filepath.Join(source, "api.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()

	for _, path := range []string{target, kubelets} {
		expectMounted(t, path, true)
		if good, err := m.shows(source, path); !good || err != nil {
			t.Errorf("%s shows the agent's directory read-only: %t, %v", path, good, err)
		}
		if err := os.WriteFile(filepath.Join(path, "file"), nil, 0o600); !errors.Is(err, unix.EROFS) {
			t.Errorf("writing to %s: %v", path, err)
		}
		if err := os.Remove(filepath.Join(path, "api.sock")); !errors.Is(err, unix.EROFS) {
			t.Errorf("removing the socket in %s: %v", path, err)
		}
		connection, err := net.Dial("unix", filepath.Join(path, "api.sock"))
		if err != nil {
			t.Fatal(err)
		}
		connection.Close()
	}
	if err := os.WriteFile(filepath.Join(source, "file"), nil, 0o600); err != nil {
		t.Errorf("the agent itself: %v", err)
	}

	if err := m.unmount(target); err != nil {
		t.Fatal(err)
	}
	expectMounted(t, target, false)
	expectMounted(t, kubelets, false)
}

func TestKnowsAMountThatIsNotAsItShouldBe(t *testing.T) {
	ownMounts(t)
	source, target, kubelets := node(t)
	var m treeMounter
	if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	if good, err := m.shows(source, target); good || err != nil {
		t.Errorf("a writable mount is good: %t, %v", good, err)
	}
	if err := m.mount(filepath.Dir(source), target); err != nil {
		t.Fatal(err)
	}
	if good, err := m.shows(source, target); good || err != nil {
		t.Errorf("a mount of another directory is good: %t, %v", good, err)
	}
	if err := m.unmount(target); err != nil {
		t.Fatal(err)
	}
	expectMounted(t, target, false)
	expectMounted(t, kubelets, false)
}

func TestPublishesARealMount(t *testing.T) {
	ownMounts(t)
	source, target, kubelets := node(t)
	d := driver{source: source, mounter: treeMounter{}}
	for range 2 {
		if err := d.publish(target); err != nil {
			t.Fatal(err)
		}
		expectMounted(t, kubelets, true)
	}
	if err := unix.Unmount(target, 0); err != nil {
		t.Fatal(err)
	}
	expectMounted(t, target, false)
	for range 2 {
		if err := d.publish(target); err != nil {
			t.Fatal(err)
		}
		if err := d.unpublish(target); err != nil {
			t.Fatal(err)
		}
		if err := d.unpublish(target); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(kubelets); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the kubelet still sees a target: %v", err)
		}
	}
}
