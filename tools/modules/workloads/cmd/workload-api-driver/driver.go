package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	contextEphemeral = "csi.storage.k8s.io/ephemeral"
	contextPod       = "csi.storage.k8s.io/pod.name"
	contextUID       = "csi.storage.k8s.io/pod.uid"
	contextNamespace = "csi.storage.k8s.io/pod.namespace"
	contextAccount   = "csi.storage.k8s.io/serviceAccount.name"
)

var accountPattern = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(-\*)?/[a-z0-9]([-.a-z0-9]*[a-z0-9])?$`)

// accounts are the service accounts whose pods get the volume, each as namespace/name; a namespace that ends in -* stands
// for all that begin so.
type accounts map[string]bool

func (a accounts) list() []string { return slices.Sorted(maps.Keys(a)) }

func (a accounts) has(account string) bool {
	for pattern := range a {
		// The pattern was checked when it was set.
		if found, _ := path.Match(pattern, account); found {
			return true
		}
	}
	return false
}

func (a accounts) String() string { return strings.Join(a.list(), ", ") }

// Set takes one more, as a flag.
func (a accounts) Set(account string) error {
	if !accountPattern.MatchString(account) {
		return errors.New("give a service account as namespace/name")
	}
	a[account] = true
	return nil
}

func (a accounts) rule() string {
	if len(a) == 0 {
		return "the Workload API is given to pods of no service account"
	}
	return "the Workload API is given to pods of these service accounts only: " + a.String()
}

// mounter shows one directory at another path, read-only.
type mounter interface {
	// isMounted says whether anything is mounted at a path, which need not exist.
	isMounted(target string) (bool, error)
	// shows says whether what is mounted at target is source as mount leaves it.
	shows(source, target string) (bool, error)
	mount(source, target string) error
	// unmount removes everything that is mounted at a path.
	unmount(target string) error
}

// driver is what the kubelet calls.
type driver struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedNodeServer
	node, source string
	accounts     accounts
	mounter      mounter
	mounts       sync.Mutex
}

func (d *driver) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: driverName, VendorVersion: "0.1.0"}, nil
}

func (d *driver) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	return &csi.GetPluginCapabilitiesResponse{}, nil
}

func (d *driver) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{}, nil
}

func (d *driver) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{NodeId: d.node}, nil
}

func (d *driver) NodeGetCapabilities(context.Context, *csi.NodeGetCapabilitiesRequest) (*csi.NodeGetCapabilitiesResponse, error) {
	return &csi.NodeGetCapabilitiesResponse{}, nil
}

// pod is whom a volume is for, as the kubelet says.
type pod struct{ namespace, name, account string }

// askedBy checks the form of a request. The kubelet adds the pod to what the pod's author wrote; had it not, the author
// could have written another's name. What no author knows beforehand is the pod's uid, which is part of the target.
func askedBy(request *csi.NodePublishVolumeRequest) (pod, error) {
	told := request.GetVolumeContext()
	refuse := func(why string) (pod, error) { return pod{}, status.Error(codes.InvalidArgument, why) }
	switch {
	case request.GetVolumeId() == "":
		return refuse("the request names no volume")
	case !isTarget(request.GetTargetPath()):
		return refuse("the request names no target, or none that is a clean absolute path")
	case request.GetVolumeCapability().GetMount() == nil:
		return refuse("the volume is a directory, not a block device")
	case told[contextEphemeral] != "true":
		return refuse("the volume is inline and ephemeral only: " + contextEphemeral + " is not true")
	case !request.GetReadonly():
		return refuse("the volume is read-only: say readOnly: true in the pod's csi volume")
	}
	for _, key := range []string{contextPod, contextUID, contextNamespace, contextAccount} {
		if told[key] == "" {
			return refuse("the request does not say for which pod: " + key + " is missing; the CSIDriver needs podInfoOnMount")
		}
	}
	parts := strings.Split(request.GetTargetPath(), "/")
	if at := slices.Index(parts, "volumes"); at < 2 || parts[at-1] != told[contextUID] || parts[at-2] != "pods" {
		return refuse("the target is not below the volumes of the pod with uid " + told[contextUID])
	}
	return pod{namespace: told[contextNamespace], name: told[contextPod], account: told[contextAccount]}, nil
}

func isTarget(target string) bool {
	return filepath.IsAbs(target) && filepath.Clean(target) == target && target != "/"
}

func (d *driver) NodePublishVolume(_ context.Context, request *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	pod, err := askedBy(request)
	if err != nil {
		return nil, err
	}
	if account := pod.namespace + "/" + pod.account; !d.accounts.has(account) {
		return nil, status.Errorf(codes.PermissionDenied, "pod %s/%s of service account %s: %s",
			pod.namespace, pod.name, account, d.accounts.rule())
	}
	if found, err := os.Stat(d.source); err != nil || !found.IsDir() {
		return nil, status.Errorf(codes.Unavailable, "the agent's directory %s is not there", d.source)
	}
	if err := d.publish(request.GetTargetPath()); err != nil {
		return nil, status.Errorf(codes.Internal, "pod %s/%s: %v", pod.namespace, pod.name, err)
	}
	slog.Info("published", "namespace", pod.namespace, "pod", pod.name, "account", pod.account,
		"volume", request.GetVolumeId(), "target", request.GetTargetPath())
	return &csi.NodePublishVolumeResponse{}, nil
}

// publish leaves a mount alone that is as it should be, and replaces any other.
func (d *driver) publish(target string) error {
	d.mounts.Lock()
	defer d.mounts.Unlock()
	mounted, err := d.mounter.isMounted(target)
	if err != nil {
		return err
	}
	if mounted {
		if good, err := d.mounter.shows(d.source, target); good || err != nil {
			return err
		}
		if err := d.mounter.unmount(target); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(target, 0o750); err != nil {
		return err
	}
	if err := d.mounter.mount(d.source, target); err != nil {
		return errors.Join(err, os.Remove(target))
	}
	return nil
}

func (d *driver) NodeUnpublishVolume(_ context.Context, request *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	target := request.GetTargetPath()
	if request.GetVolumeId() == "" || !isTarget(target) {
		return nil, status.Error(codes.InvalidArgument, "the request names no volume, or no target that is a clean absolute path")
	}
	if err := d.unpublish(target); err != nil {
		return nil, status.Errorf(codes.Internal, "%v", err)
	}
	slog.Info("unpublished", "volume", request.GetVolumeId(), "target", target)
	return &csi.NodeUnpublishVolumeResponse{}, nil
}

// unpublish removes the mount and its empty directory, never what is in a directory.
func (d *driver) unpublish(target string) error {
	d.mounts.Lock()
	defer d.mounts.Unlock()
	mounted, err := d.mounter.isMounted(target)
	if err != nil {
		return err
	}
	if mounted {
		if err := d.mounter.unmount(target); err != nil {
			return err
		}
	}
	if err := os.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("target is no empty directory: %w", err)
	}
	return nil
}
