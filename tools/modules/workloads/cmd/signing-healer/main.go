// Heals what Tekton Chains gave up on: a completed PipelineRun that Chains marked as failed, or as signed without an
// entry in the log, is given back to Chains as soon as the services that signing needs answer.
//
// Chains looks at a run again whenever it changes, and signs it when its own annotations are gone. The healer only takes
// those away; it signs nothing and holds no key.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

var pipelineRuns = schema.GroupVersionResource{Group: "tekton.dev", Version: "v1", Resource: "pipelineruns"}

// watchRuns keeps what matters of all runs, and says on wake when something changed.
func watchRuns(client dynamic.Interface, wake chan<- struct{}) (cache.SharedIndexInformer, error) {
	runs := client.Resource(pipelineRuns)
	source := cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options v1.ListOptions) (runtime.Object, error) {
			return runs.List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options v1.ListOptions) (watch.Interface, error) {
			return runs.Watch(ctx, options)
		},
	}
	informer := cache.NewSharedIndexInformer(
		cache.ToListWatcherWithWatchListSemantics(&source, client), &unstructured.Unstructured{}, 0, cache.Indexers{})
	if err := informer.SetTransform(trim); err != nil {
		return nil, err
	}
	say := func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { say() },
		UpdateFunc: func(any, any) { say() },
		DeleteFunc: func(any) { say() },
	})
	return informer, err
}

// trim keeps what decides over a run; its definition and its results are nearly all of it.
func trim(object any) (any, error) {
	if run, ok := object.(*unstructured.Unstructured); ok {
		status := map[string]any{}
		for _, field := range []string{"conditions", "completionTime"} {
			status[field], _, _ = unstructured.NestedFieldNoCopy(run.Object, "status", field)
		}
		run.Object = map[string]any{
			"apiVersion": run.Object["apiVersion"],
			"kind":       run.Object["kind"],
			"metadata":   run.Object["metadata"],
			"status":     status,
		}
		kept := map[string]string{}
		for _, name := range annotationsRead {
			if value, isThere := run.GetAnnotations()[name]; isThere {
				kept[name] = value
			}
		}
		run.SetAnnotations(kept)
		run.SetManagedFields(nil)
	}
	return object, nil
}

// cached are the runs that an informer keeps.
func cached(informer cache.SharedIndexInformer) func() []*unstructured.Unstructured {
	return func() []*unstructured.Unstructured {
		var runs []*unstructured.Unstructured
		for _, object := range informer.GetStore().List() {
			runs = append(runs, object.(*unstructured.Unstructured))
		}
		return runs
	}
}

// handler answers with what waits for Chains; an empty list means that nothing does, so there is none too early.
func (h *healer) handler(isReady func() bool) http.Handler {
	mux := http.NewServeMux()
	whenReady := func(answer http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if !isReady() {
				http.Error(w, "the runs are not known yet", http.StatusServiceUnavailable)
				return
			}
			answer(w, r)
		}
	}
	mux.HandleFunc("GET /healthz", whenReady(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok\n"))
	}))
	mux.HandleFunc("GET /unsigned", whenReady(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(h.unsigned())
	}))
	return mux
}

// addresses are https URLs, as a flag that may be repeated.
type addresses []string

func (a *addresses) String() string { return "" }

func (a *addresses) Set(address string) error {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Scheme != "https" || parsed.Host == "" {
		return errors.New("give an https URL")
	}
	*a = append(*a, address)
	return nil
}

func run() error {
	var required addresses
	flag.Var(&required, "requires", "https URL that answers when signing can work; repeatable")
	authorities := flag.String("ca", "", "PEM file with the authorities of these URLs; the system's without it")
	overlooked := flag.Duration("overlooked", 2*time.Minute, "how long Chains has for a completed run before it is asked again")
	listen := flag.String("listen", ":8080", "where to answer /healthz and /unsigned")
	flag.Parse()
	if len(required) == 0 || *overlooked <= 0 || flag.NArg() > 0 {
		return errors.New("give --requires, an --overlooked above zero, and nothing but flags")
	}

	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	wake := make(chan struct{}, 1)
	informer, err := watchRuns(client, wake)
	if err != nil {
		return err
	}
	h := healer{
		runs:       client.Resource(pipelineRuns),
		list:       cached(informer),
		services:   services{urls: required, authorities: *authorities, timeout: 3 * time.Second}.check,
		clock:      clock.RealClock{},
		jitter:     rand.Float64,
		overlooked: *overlooked,
	}

	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	server := http.Server{
		Addr:              *listen,
		Handler:           h.handler(informer.HasSynced),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	go informer.RunWithContext(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		if cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			slog.Info("healing", "requires", required, "overlooked", overlooked.String())
			h.heal(ctx, wake)
		}
	}()
	select {
	case err := <-failed:
		return err
	case <-stopped:
		slog.Info("stopping")
		return server.Close()
	}
}

func main() {
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stdout, nil)))
	klog.SetSlogLogger(slog.Default())
	if err := run(); err != nil {
		slog.Error(err.Error())
		os.Exit(1)
	}
}
