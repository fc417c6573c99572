// The CSI node driver of SPIRE's Workload API: gives a pod the directory with the agent's socket as a read-only inline
// volume, and tells the kubelet about itself. Only pods of the named service accounts get the volume.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

const (
	driverName  = "csi.spiffe.io"
	stopTimeout = 5 * time.Second
)

// registrar answers the kubelet, which asks every socket in its directory of plugins what it is.
type registrar struct {
	registration.UnimplementedRegistrationServer
	endpoint string
	failed   chan<- error
}

func (r *registrar) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type:              registration.CSIPlugin,
		Name:              driverName,
		Endpoint:          r.endpoint,
		SupportedVersions: []string{"1.0.0"},
	}, nil
}

// NotifyRegistrationStatus ends the program when the kubelet did not take it; started anew, it is asked again.
func (r *registrar) NotifyRegistrationStatus(_ context.Context, told *registration.RegistrationStatus) (*registration.RegistrationStatusResponse, error) {
	if told.PluginRegistered {
		slog.Info("registered with the kubelet", "endpoint", r.endpoint)
	} else {
		r.failed <- fmt.Errorf("the kubelet did not register the driver: %s", told.Error)
	}
	return &registration.RegistrationStatusResponse{}, nil
}

func logFailures(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	answer, err := handle(ctx, request)
	if err != nil {
		told := status.Convert(err)
		level := slog.LevelError
		if told.Code() == codes.PermissionDenied || told.Code() == codes.InvalidArgument {
			level = slog.LevelWarn
		}
		slog.Log(ctx, level, told.Message(), "method", filepath.Base(info.FullMethod), "code", told.Code().String())
	}
	return answer, err
}

// listen makes a socket in place of one that a killed driver has left behind.
func listen(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return net.Listen("unix", path)
}

// serve answers on both sockets until the context ends. The driver answers before the kubelet can hear of it.
func serve(ctx context.Context, d *driver, driverSocket, registrationSocket string) error {
	failed := make(chan error, 3)
	drivers := grpc.NewServer(grpc.UnaryInterceptor(logFailures))
	csi.RegisterIdentityServer(drivers, d)
	csi.RegisterNodeServer(drivers, d)
	registrars := grpc.NewServer(grpc.UnaryInterceptor(logFailures))
	registration.RegisterRegistrationServer(registrars, &registrar{endpoint: driverSocket, failed: failed})

	for _, service := range []struct {
		server *grpc.Server
		socket string
	}{{drivers, driverSocket}, {registrars, registrationSocket}} {
		listener, err := listen(service.socket)
		if err != nil {
			return err
		}
		defer stop(service.server)
		go func() {
			if err := service.server.Serve(listener); err != nil {
				failed <- err
			}
		}()
	}
	slog.Info("serving", "driver", driverSocket, "registration", registrationSocket, "accounts", d.accounts.list())
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		slog.Info("stopping")
		return nil
	}
}

// stop lets calls end that are being answered.
func stop(server *grpc.Server) {
	timer := time.AfterFunc(stopTimeout, server.Stop)
	defer timer.Stop()
	server.GracefulStop()
}

func run() error {
	d := driver{accounts: accounts{}, mounter: treeMounter{}}
	flag.StringVar(&d.node, "node", "", "name of the node")
	flag.StringVar(&d.source, "workload-api", "", "directory with the agent's socket")
	flag.Var(d.accounts, "service-account", "namespace/name of a service account whose pods get the volume, or the same in all namespaces that begin alike (team-*/name); repeatable")
	driverSocket := flag.String("driver-socket", "/var/lib/kubelet/plugins/"+driverName+"/csi.sock",
		"socket of the driver, by a path that is the same for the kubelet")
	registrationSocket := flag.String("registration-socket", "/var/lib/kubelet/plugins_registry/"+driverName+"-reg.sock",
		"socket that the kubelet asks about the driver")
	flag.Parse()
	if d.node == "" || !filepath.IsAbs(d.source) || flag.NArg() > 0 {
		return errors.New("give --node and an absolute path as --workload-api, and nothing but flags")
	}
	syscall.Umask(0o077)
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	return serve(ctx, &d, *driverSocket, *registrationSocket)
}

func main() {
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stdout, nil)))
	if err := run(); err != nil {
		slog.Error(err.Error())
		os.Exit(1)
	}
}
