package main

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

// fakeMounter remembers what was mounted where, one above the other.
type fakeMounter struct {
	mounts map[string][]string
	fails  error
}

func (f *fakeMounter) isMounted(target string) (bool, error) { return len(f.mounts[target]) > 0, nil }

func (f *fakeMounter) shows(source, target string) (bool, error) {
	mounted := f.mounts[target]
	return mounted[len(mounted)-1] == source, nil
}

func (f *fakeMounter) mount(source, target string) error {
	if f.fails != nil {
		return f.fails
	}
	f.mounts[target] = append(f.mounts[target], source)
	return nil
}

func (f *fakeMounter) unmount(target string) error {
	delete(f.mounts, target)
	return nil
}

const uid = "6f1c3ad8-1f0c-4d67-9f5e-0a3f6ee0a001"

// served is a driver that answers on sockets.
type served struct {
	*driver
	mounter                          *fakeMounter
	target                           string
	node                             csi.NodeClient
	identity                         csi.IdentityClient
	registration                     registration.RegistrationClient
	driverSocket, registrationSocket string
	stop                             func() error
}

func serveDriver(t *testing.T, allowed ...string) *served {
	t.Helper()
	directory := t.TempDir()
	s := &served{
		mounter:            &fakeMounter{mounts: map[string][]string{}},
		target:             filepath.Join(directory, "pods", uid, "volumes/kubernetes.io~csi/workload-api/mount"),
		driverSocket:       filepath.Join(directory, "csi.sock"),
		registrationSocket: filepath.Join(directory, "reg.sock"),
	}
	source := filepath.Join(directory, "agent")
	if err := os.Mkdir(source, 0o700); err != nil {
		t.Fatal(err)
	}
	s.driver = &driver{node: "node-1", source: source, accounts: accounts{}, mounter: s.mounter}
	for _, account := range allowed {
		if err := s.accounts.Set(account); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, s.driver, s.driverSocket, s.registrationSocket) }()
	s.stop = func() error { cancel(); return <-ended }
	t.Cleanup(cancel)

	driverConnection, registrationConnection := dial(t, s.driverSocket), dial(t, s.registrationSocket)
	s.node, s.identity = csi.NewNodeClient(driverConnection), csi.NewIdentityClient(driverConnection)
	s.registration = registration.NewRegistrationClient(registrationConnection)
	return s
}

func dial(t *testing.T, socket string) *grpc.ClientConn {
	t.Helper()
	connection, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return connection
}

func (s *served) request() *csi.NodePublishVolumeRequest {
	return &csi.NodePublishVolumeRequest{
		VolumeId:   "csi-1",
		TargetPath: s.target,
		VolumeCapability: &csi.VolumeCapability{
			AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{}},
			AccessMode: &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER},
		},
		Readonly: true,
		VolumeContext: map[string]string{
			contextEphemeral: "true",
			contextPod:       "build-1",
			contextUID:       uid,
			contextNamespace: "team-a",
			contextAccount:   "publisher",
		},
	}
}

func (s *served) publish(t *testing.T, request *csi.NodePublishVolumeRequest) error {
	t.Helper()
	_, err := s.node.NodePublishVolume(t.Context(), request)
	return err
}

func (s *served) unpublish(t *testing.T) error {
	t.Helper()
	_, err := s.node.NodeUnpublishVolume(t.Context(), &csi.NodeUnpublishVolumeRequest{VolumeId: "csi-1", TargetPath: s.target})
	return err
}

func (s *served) mounted() []string { return s.mounter.mounts[s.target] }

func expectCode(t *testing.T, err error, code codes.Code, words ...string) {
	t.Helper()
	if status.Code(err) != code {
		t.Fatalf("got %v, not %s", err, code)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
}

func TestTellsTheKubeletWhatItIs(t *testing.T) {
	s := serveDriver(t)
	told, err := s.registration.GetInfo(t.Context(), &registration.InfoRequest{})
	if err != nil || told.Type != "CSIPlugin" || told.Name != "csi.spiffe.io" || told.Endpoint != s.driverSocket ||
		!slices.Equal(told.SupportedVersions, []string{"1.0.0"}) {
		t.Errorf("registration: %v %v", told, err)
	}
	if _, err := s.registration.NotifyRegistrationStatus(t.Context(), &registration.RegistrationStatus{PluginRegistered: true}); err != nil {
		t.Error(err)
	}
	if info, err := s.identity.GetPluginInfo(t.Context(), &csi.GetPluginInfoRequest{}); err != nil || info.Name != "csi.spiffe.io" || info.VendorVersion == "" {
		t.Errorf("plugin: %v %v", info, err)
	}
	if _, err := s.identity.Probe(t.Context(), &csi.ProbeRequest{}); err != nil {
		t.Error(err)
	}
	if able, err := s.identity.GetPluginCapabilities(t.Context(), &csi.GetPluginCapabilitiesRequest{}); err != nil || len(able.Capabilities) > 0 {
		t.Errorf("plugin capabilities: %v %v", able, err)
	}
	if node, err := s.node.NodeGetInfo(t.Context(), &csi.NodeGetInfoRequest{}); err != nil || node.NodeId != "node-1" {
		t.Errorf("node: %v %v", node, err)
	}
	if able, err := s.node.NodeGetCapabilities(t.Context(), &csi.NodeGetCapabilitiesRequest{}); err != nil || len(able.Capabilities) > 0 {
		t.Errorf("node capabilities: %v %v", able, err)
	}
}

func TestEndsWhenTheKubeletDoesNotRegisterIt(t *testing.T) {
	directory := t.TempDir()
	driverSocket, registrationSocket := filepath.Join(directory, "csi.sock"), filepath.Join(directory, "reg.sock")
	ended := make(chan error, 1)
	go func() { ended <- serve(t.Context(), &driver{}, driverSocket, registrationSocket) }()
	client := registration.NewRegistrationClient(dial(t, registrationSocket))
	if _, err := client.NotifyRegistrationStatus(t.Context(), &registration.RegistrationStatus{Error: "no such node"}); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "no such node") {
		t.Errorf("ended with %v", err)
	}
}

func TestStopsCleanlyAndTakesASocketOver(t *testing.T) {
	s := serveDriver(t)
	if _, err := s.identity.Probe(t.Context(), &csi.ProbeRequest{}); err != nil {
		t.Fatal(err)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	for _, socket := range []string{s.driverSocket, s.registrationSocket} {
		if _, err := os.Lstat(socket); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left behind: %v", socket, err)
		}
		if err := os.WriteFile(socket, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		listener, err := listen(socket)
		if err != nil {
			t.Fatalf("a socket left behind: %v", err)
		}
		listener.Close()
	}
}

func TestPublishesForANamedAccount(t *testing.T) {
	s := serveDriver(t, "team-b/publisher", "team-a/publisher")
	for range 2 {
		if err := s.publish(t, s.request()); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(s.mounted(), []string{s.source}) {
			t.Fatalf("mounted: %v", s.mounted())
		}
	}
	for range 2 {
		if err := s.unpublish(t); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(s.target); len(s.mounted()) > 0 || !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("mounted: %v, target: %v", s.mounted(), err)
		}
	}
}

func TestReplacesAnotherMount(t *testing.T) {
	s := serveDriver(t, "team-a/publisher")
	s.mounter.mounts[s.target] = []string{s.source, "/gone"}
	if err := s.publish(t, s.request()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.mounted(), []string{s.source}) {
		t.Errorf("mounted: %v", s.mounted())
	}
}

func TestRefusesOtherAccounts(t *testing.T) {
	for name, allowed := range map[string][]string{
		"none is named":          nil,
		"another namespace":      {"team-b/publisher"},
		"another account":        {"team-a/default"},
		"one whose name is near": {"team-a/publisher-2", "team/a-publisher"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serveDriver(t, allowed...)
			rule := "no service account"
			if len(allowed) > 0 {
				rule = allowed[0]
			}
			expectCode(t, s.publish(t, s.request()), codes.PermissionDenied, "team-a/build-1", "team-a/publisher", rule)
			if _, err := os.Lstat(s.target); len(s.mounter.mounts) > 0 || !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("mounted: %v, target: %v", s.mounter.mounts, err)
			}
		})
	}
}

func TestRefusesRequestsOfAnotherForm(t *testing.T) {
	without := func(key string) func(*csi.NodePublishVolumeRequest) {
		return func(request *csi.NodePublishVolumeRequest) { delete(request.VolumeContext, key) }
	}
	for _, test := range []struct {
		name, word string
		change     func(*csi.NodePublishVolumeRequest)
	}{
		{"to write", "readOnly", func(r *csi.NodePublishVolumeRequest) { r.Readonly = false }},
		{"of a persistent volume", contextEphemeral, func(r *csi.NodePublishVolumeRequest) { r.VolumeContext[contextEphemeral] = "false" }},
		{"that does not say which kind", contextEphemeral, without(contextEphemeral)},
		{"without a namespace", contextNamespace, without(contextNamespace)},
		{"without an account", contextAccount, without(contextAccount)},
		{"without a pod", contextPod, without(contextPod)},
		{"without a uid", contextUID, without(contextUID)},
		{"of an author who wrote the pod himself", "uid", func(r *csi.NodePublishVolumeRequest) { r.VolumeContext[contextUID] = "another" }},
		{"of an author who named the volume like a pod", "uid", func(r *csi.NodePublishVolumeRequest) {
			r.TargetPath = strings.Replace(r.TargetPath, "workload-api", "pods/own/volumes", 1)
			r.VolumeContext[contextUID] = "own"
		}},
		{"without any context", contextEphemeral, func(r *csi.NodePublishVolumeRequest) { r.VolumeContext = nil }},
		{"of a block device", "block", func(r *csi.NodePublishVolumeRequest) {
			r.VolumeCapability.AccessType = &csi.VolumeCapability_Block{Block: &csi.VolumeCapability_BlockVolume{}}
		}},
		{"without a capability", "block", func(r *csi.NodePublishVolumeRequest) { r.VolumeCapability = nil }},
		{"without a volume", "volume", func(r *csi.NodePublishVolumeRequest) { r.VolumeId = "" }},
		{"without a target", "target", func(r *csi.NodePublishVolumeRequest) { r.TargetPath = "" }},
		{"with a target that climbs", "target", func(r *csi.NodePublishVolumeRequest) { r.TargetPath += "/../../x" }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serveDriver(t, "team-a/publisher")
			bad := s.request()
			test.change(bad)
			expectCode(t, s.publish(t, bad), codes.InvalidArgument, test.word)
			if len(s.mounter.mounts) > 0 {
				t.Errorf("mounted: %v", s.mounter.mounts)
			}
			if err := s.publish(t, s.request()); err != nil {
				t.Errorf("the good one: %v", err)
			}
		})
	}
}

func TestWaitsForTheAgent(t *testing.T) {
	s := serveDriver(t, "team-a/publisher")
	if err := os.Remove(s.source); err != nil {
		t.Fatal(err)
	}
	expectCode(t, s.publish(t, s.request()), codes.Unavailable, s.source)
}

func TestLeavesNothingWhenAMountFails(t *testing.T) {
	s := serveDriver(t, "team-a/publisher")
	s.mounter.fails = errors.New("no more mounts")
	expectCode(t, s.publish(t, s.request()), codes.Internal, "no more mounts", "team-a/build-1")
	if _, err := os.Lstat(s.target); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("target: %v", err)
	}
}

func TestUnpublishKeepsWhatItDidNotMake(t *testing.T) {
	s := serveDriver(t)
	kept := filepath.Join(s.target, "file")
	if err := os.MkdirAll(s.target, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(kept, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	expectCode(t, s.unpublish(t), codes.Internal)
	if _, err := os.Lstat(kept); err != nil {
		t.Error(err)
	}
	_, err := s.node.NodeUnpublishVolume(t.Context(), &csi.NodeUnpublishVolumeRequest{VolumeId: "csi-1"})
	expectCode(t, err, codes.InvalidArgument)
}

func TestTakesAccountsOfOneFormOnly(t *testing.T) {
	given := accounts{}
	for _, bad := range []string{"", "publisher", "team-a/", "/publisher", "team-a/*", "*/*", "*/publish", "team*/publish", "te-*m/publish", "team-[ab]/publish", "a/b/c", "team-a/publisher,team-b/x"} {
		if err := given.Set(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if len(given) > 0 {
		t.Errorf("given: %v", slices.Collect(maps.Keys(given)))
	}
}

func TestNamespacesThatBeginAlike(t *testing.T) {
	s := serveDriver(t, "team-*/publisher")
	for namespace, code := range map[string]codes.Code{
		"team-a": codes.OK, "team-b-c": codes.OK,
		"team": codes.PermissionDenied, "ateam-a": codes.PermissionDenied, "tekton-chains": codes.PermissionDenied,
	} {
		request := s.request()
		request.VolumeContext[contextNamespace] = namespace
		expectCode(t, s.publish(t, request), code)
	}
	request := s.request()
	request.VolumeContext[contextAccount] = "build"
	expectCode(t, s.publish(t, request), codes.PermissionDenied, "team-*/publisher")
}
