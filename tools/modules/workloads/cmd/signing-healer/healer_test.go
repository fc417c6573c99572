package main

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	kube "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic/fake"
	fakes "k8s.io/client-go/testing"
	clocks "k8s.io/utils/clock/testing"
)

var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

const entry = "https://rekor/api/v1/log/entries?logIndex=7"

// Annotations as Chains leaves them.
var (
	left = map[string]map[string]string{
		failed:   {annotationSigned: "failed", annotationRetries: "3"},
		unlogged: {annotationSigned: "true"},
		retried:  {annotationSigned: "true", annotationTransparency: entry, annotationRetries: "0"},
		pending:  {annotationRetries: "1"},
		logged:   {annotationSigned: "true", annotationTransparency: entry},
	}
	gone = []string{annotationSigned, annotationRetries, annotationTransparency}
)

// object is a run in team-a that completed an hour before the test starts.
func object(name, succeeded string, annotations map[string]string) *unstructured.Unstructured {
	run := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "tekton.dev/v1",
		"kind":       "PipelineRun",
		"spec":       map[string]any{"params": []any{}},
		"status": map[string]any{
			"conditions": []any{map[string]any{"type": "Succeeded", "status": succeeded}},
		},
	}}
	run.SetNamespace("team-a")
	run.SetName(name)
	run.SetUID(types.UID("uid-of-" + name))
	run.SetResourceVersion("1")
	all := map[string]string{"own": "kept"}
	maps.Copy(all, annotations)
	run.SetAnnotations(all)
	return completedAt(run, start.Add(-time.Hour))
}

func completedAt(run *unstructured.Unstructured, at time.Time) *unstructured.Unstructured {
	if err := unstructured.SetNestedField(run.Object, at.Format(time.RFC3339), "status", "completionTime"); err != nil {
		panic(err)
	}
	return run
}

func running(run *unstructured.Unstructured) *unstructured.Unstructured {
	unstructured.RemoveNestedField(run.Object, "status", "completionTime")
	return run
}

// world is a cluster with its time and the services that signing needs.
type world struct {
	*healer
	t       *testing.T
	client  *fake.FakeDynamicClient
	time    *clocks.FakeClock
	down    error
	asked   int
	patches []string
	// before runs once, before the API server looks at the next patch.
	before func()
}

func newWorld(t *testing.T, runs ...*unstructured.Unstructured) *world {
	t.Helper()
	var objects []runtime.Object
	for _, run := range runs {
		objects = append(objects, run)
	}
	kinds := map[schema.GroupVersionResource]string{pipelineRuns: "PipelineRunList"}
	w := &world{
		t:      t,
		client: fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds, objects...),
		time:   clocks.NewFakeClock(start),
	}
	w.healer = &healer{
		runs:       w.client.Resource(pipelineRuns),
		list:       w.all,
		services:   func(context.Context) error { w.asked++; return w.down },
		clock:      w.time,
		jitter:     func() float64 { return 0 },
		overlooked: 2 * time.Minute,
	}
	w.client.PrependReactor("patch", "pipelineruns", w.precondition)
	return w
}

// precondition is the part of an API server that the fake one does not have.
func (w *world) precondition(action fakes.Action) (bool, runtime.Object, error) {
	patch := action.(fakes.PatchAction)
	if patch.GetPatchType() != types.MergePatchType {
		w.t.Errorf("patched by %s", patch.GetPatchType())
	}
	w.patches = append(w.patches, string(patch.GetPatch()))
	if before := w.before; before != nil {
		w.before = nil
		before()
	}
	found, err := w.client.Tracker().Get(pipelineRuns, patch.GetNamespace(), patch.GetName())
	if err != nil {
		return true, nil, err
	}
	var told struct {
		Metadata struct {
			ResourceVersion string `json:"resourceVersion"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(patch.GetPatch(), &told); err != nil {
		return true, nil, err
	}
	if version := found.(*unstructured.Unstructured).GetResourceVersion(); told.Metadata.ResourceVersion != version {
		return true, nil, kube.NewConflict(pipelineRuns.GroupResource(), patch.GetName(), errors.New("it is "+version))
	}
	return false, nil, nil
}

func (w *world) all() []*unstructured.Unstructured {
	list, err := w.client.Resource(pipelineRuns).List(context.Background(), v1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	var runs []*unstructured.Unstructured
	for i := range list.Items {
		runs = append(runs, &list.Items[i])
	}
	return runs
}

func (w *world) get(name string) *unstructured.Unstructured {
	w.t.Helper()
	found, err := w.client.Tracker().Get(pipelineRuns, "team-a", name)
	if err != nil {
		w.t.Fatal(err)
	}
	return found.(*unstructured.Unstructured).DeepCopy()
}

// chains leaves a run as Chains does.
func (w *world) chains(name, state string) {
	w.t.Helper()
	run := w.get(name)
	annotations := run.GetAnnotations()
	for _, key := range gone {
		delete(annotations, key)
	}
	maps.Copy(annotations, left[state])
	run.SetAnnotations(annotations)
	run.SetResourceVersion(run.GetResourceVersion() + "1")
	if err := w.client.Tracker().Update(pipelineRuns, run, "team-a"); err != nil {
		w.t.Fatal(err)
	}
}

// passes lets time go by, and expects so many patches in all and so long a wait.
func (w *world) passes(after time.Duration, patches int, wait time.Duration) {
	w.t.Helper()
	w.time.Step(after)
	if got := w.pass(w.t.Context()); got != wait || len(w.patches) != patches {
		w.t.Fatalf("%d patches and %s to wait, not %d and %s: %v", len(w.patches), got, patches, wait, w.patches)
	}
}

func (w *world) expectGivenBack(name string) {
	w.t.Helper()
	annotations := w.get(name).GetAnnotations()
	if !maps.Equal(annotations, map[string]string{"own": "kept"}) {
		w.t.Errorf("%s: %v", name, annotations)
	}
}

func TestGivesBackWhatChainsGaveUp(t *testing.T) {
	for _, state := range []string{failed, unlogged, retried} {
		for _, succeeded := range []string{"True", "False"} {
			t.Run(state+" and succeeded is "+succeeded, func(t *testing.T) {
				w := newWorld(t, object("build", succeeded, left[state]))
				w.passes(0, 1, overlookedOnly)
				w.expectGivenBack("build")
				if !strings.Contains(w.patches[0], `"resourceVersion":"1"`) {
					t.Errorf("no precondition: %s", w.patches[0])
				}
			})
		}
	}
}

// overlookedOnly is the wait when Chains has just been asked.
const overlookedOnly = 2 * time.Minute

func TestLeavesOthersAlone(t *testing.T) {
	deleted := object("deleted", "True", left[failed])
	now := v1.NewTime(start)
	deleted.SetDeletionTimestamp(&now)
	w := newWorld(t,
		object("logged", "True", left[logged]),
		object("logged-failure", "False", left[logged]),
		running(object("running", "Unknown", nil)),
		running(object("running-marked", "Unknown", left[failed])),
		deleted,
		object("bad", "True", left[failed]),
	)
	w.passes(0, 1, overlookedOnly)
	w.expectGivenBack("bad")
	w.chains("bad", logged)
	for range 3 {
		w.passes(24*time.Hour, 1, idle)
	}
	if list := w.unsigned(); len(list) > 0 {
		t.Errorf("unsigned: %v", list)
	}
}

func TestAsksChainsForARunThatItOverlooked(t *testing.T) {
	w := newWorld(t, completedAt(object("build", "True", left[pending]), start))
	w.passes(119*time.Second, 0, time.Second)
	w.passes(time.Second, 1, overlookedOnly)
	annotations := w.get("build").GetAnnotations()
	if annotations[annotationRequested] != "2026-11-24T12:02:00Z" || annotations[annotationRetries] != "1" || annotations["own"] != "kept" {
		t.Errorf("annotations: %v", annotations)
	}
	w.passes(time.Minute, 1, time.Minute)
	w.passes(time.Minute, 2, overlookedOnly)
	w.chains("build", logged)
	w.passes(time.Hour, 2, idle)
}

func TestRemembersARequestAcrossARestart(t *testing.T) {
	w := newWorld(t, object("build", "True", map[string]string{annotationRequested: start.Add(-time.Minute).Format(time.RFC3339)}))
	w.passes(0, 0, time.Minute)
	w.passes(time.Minute, 1, overlookedOnly)
}

func TestGivesChainsTimeForARunGivenBack(t *testing.T) {
	w := newWorld(t, object("build", "True", left[failed]))
	w.passes(0, 1, overlookedOnly)
	w.passes(time.Minute, 1, time.Minute)
	w.chains("build", logged)
	w.passes(time.Hour, 1, idle)
}

func TestWaitsForTheServices(t *testing.T) {
	w := newWorld(t, object("failed", "True", left[failed]), object("unlogged", "True", left[unlogged]), object("pending", "True", nil))
	w.down = errors.New("fulcio: connection refused")
	for range 100 {
		w.passes(5*time.Second, 0, 5*time.Second)
	}
	for _, run := range w.unsigned() {
		if run.Attempts != 0 || run.LastError != w.down.Error() {
			t.Errorf("unsigned: %v", run)
		}
	}
	w.passes(time.Second, 0, 4*time.Second)
	if w.asked != 100 {
		t.Errorf("the services were asked %d times", w.asked)
	}
	w.down = nil
	w.passes(4*time.Second, 3, overlookedOnly)
	w.expectGivenBack("failed")
	w.expectGivenBack("unlogged")
}

func TestAsksNoServicesForNothing(t *testing.T) {
	w := newWorld(t, object("logged", "True", left[logged]), completedAt(object("pending", "True", nil), start))
	w.passes(0, 0, 2*time.Minute)
	if w.asked != 0 {
		t.Errorf("the services were asked %d times", w.asked)
	}
}

func TestWaitsLongerEachTimeAndNeverGivesUp(t *testing.T) {
	w := newWorld(t, object("build", "True", left[failed]))
	w.passes(0, 1, overlookedOnly)
	seconds := []time.Duration{5, 10, 20, 40, 80, 160, 300, 300, 300}
	for range 100 {
		seconds = append(seconds, 300)
	}
	for i, wait := range seconds {
		w.chains("build", failed)
		w.passes(0, i+1, wait*time.Second)
		w.passes(wait*time.Second-time.Second, i+1, time.Second)
		w.passes(time.Second, i+2, max(overlookedOnly, w.backoff(i+2)))
	}
	if attempts := w.unsigned()[0].Attempts; attempts != len(seconds)+1 {
		t.Errorf("%d attempts", attempts)
	}
	w.chains("build", logged)
	w.passes(time.Hour, len(w.patches), idle)
	w.chains("build", failed)
	w.passes(0, len(w.patches)+1, overlookedOnly)
	w.chains("build", failed)
	w.passes(0, len(w.patches), firstBackoff)
}

func TestLeavesAQuarterOfTheWaitToChance(t *testing.T) {
	h := healer{jitter: func() float64 { return 1 }}
	if first, last := h.backoff(1), h.backoff(1000); first != 3750*time.Millisecond || last != 225*time.Second {
		t.Errorf("%s, %s", first, last)
	}
}

func TestTriesAgainWhenTheRunChanged(t *testing.T) {
	w := newWorld(t, object("build", "True", left[unlogged]))
	w.before = func() { w.chains("build", failed) }
	w.passes(0, 2, overlookedOnly)
	w.expectGivenBack("build")
}

func TestLeavesARunAloneThatChangedForTheGood(t *testing.T) {
	for name, change := range map[string]func(w *world){
		"signed meanwhile":         func(w *world) { w.chains("build", logged) },
		"given back meanwhile":     func(w *world) { w.chains("build", pending) },
		"another of the same name": func(w *world) { w.replace("build") },
		"deleted": func(w *world) {
			if err := w.client.Tracker().Delete(pipelineRuns, "team-a", "build"); err != nil {
				w.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, completedAt(object("build", "True", left[failed]), start))
			w.before = func() { change(w) }
			w.pass(t.Context())
			if len(w.patches) != 1 {
				t.Errorf("patches: %v", w.patches)
			}
			for _, run := range w.all() {
				if run.GetAnnotations()[annotationRequested] != "" || run.GetResourceVersion() == "1" {
					t.Errorf("changed: %v", run)
				}
			}
		})
	}
}

func (w *world) replace(name string) {
	run := w.get(name)
	run.SetUID("uid-of-another")
	run.SetResourceVersion("100")
	if err := w.client.Tracker().Update(pipelineRuns, run, "team-a"); err != nil {
		w.t.Fatal(err)
	}
}

func TestPutsARunOffThatAlwaysChanges(t *testing.T) {
	w := newWorld(t, object("build", "True", left[failed]))
	var again func()
	again = func() { w.chains("build", failed); w.before = again }
	w.before = again
	w.passes(0, conflictTries, firstBackoff)
	if list := w.unsigned(); list[0].Attempts != 1 || !strings.Contains(list[0].LastError, "build") {
		t.Errorf("unsigned: %v", list)
	}
	w.before = nil
	w.passes(firstBackoff, conflictTries+1, overlookedOnly)
	w.expectGivenBack("build")
}

func TestOneRunThatCannotBeChangedHoldsNoOtherUp(t *testing.T) {
	w := newWorld(t, completedAt(object("a", "True", left[failed]), start.Add(-2*time.Hour)), object("b", "True", left[failed]))
	w.client.PrependReactor("patch", "pipelineruns", func(action fakes.Action) (bool, runtime.Object, error) {
		isFirst := action.(fakes.PatchAction).GetName() == "a"
		return isFirst, nil, kube.NewForbidden(pipelineRuns.GroupResource(), "a", errors.New("no"))
	})
	w.pass(t.Context())
	w.expectGivenBack("b")
	if list := w.unsigned(); list[0].Name != "a" || !strings.Contains(list[0].LastError, "forbidden") || list[1].LastError != "" {
		t.Errorf("unsigned: %v", list)
	}
}

func TestTellsWhatIsUnsigned(t *testing.T) {
	w := newWorld(t,
		object("c", "True", left[failed]),
		object("b", "False", left[unlogged]),
		completedAt(object("a", "True", nil), start),
		object("logged", "True", left[logged]),
		running(object("running", "Unknown", nil)),
	)
	w.down = errors.New("rekor: no route")
	w.pass(t.Context())
	isReady := false
	handler := w.handler(func() bool { return isReady })
	ask := func(path string) (int, string) {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
		return recorder.Code, strings.TrimSpace(recorder.Body.String())
	}
	for _, path := range []string{"/healthz", "/unsigned"} {
		if code, _ := ask(path); code != http.StatusServiceUnavailable {
			t.Errorf("%s before the runs are known: %d", path, code)
		}
	}
	isReady = true
	if code, _ := ask("/healthz"); code != http.StatusOK {
		t.Errorf("/healthz: %d", code)
	}
	if code, _ := ask("/other"); code != http.StatusNotFound {
		t.Errorf("/other: %d", code)
	}
	wanted := `[` + strings.Join([]string{
		`{"namespace":"team-a","name":"b","completed":"2026-11-24T11:00:00Z","state":"unlogged","attempts":0,"lastError":"rekor: no route"}`,
		`{"namespace":"team-a","name":"c","completed":"2026-11-24T11:00:00Z","state":"failed","attempts":0,"lastError":"rekor: no route"}`,
		`{"namespace":"team-a","name":"a","completed":"2026-11-24T12:00:00Z","state":"pending","attempts":0,"lastError":""}`,
	}, ",") + `]`
	if code, body := ask("/unsigned"); code != http.StatusOK || body != wanted {
		t.Errorf("/unsigned: %d %s", code, body)
	}
	for _, name := range []string{"a", "b", "c"} {
		w.chains(name, logged)
	}
	if _, body := ask("/unsigned"); body != "[]" {
		t.Errorf("/unsigned when all are signed: %s", body)
	}
}

func TestHealsAsRunsChange(t *testing.T) {
	w := newWorld(t, object("first", "True", left[failed]))
	patched := make(chan string, 10)
	w.client.PrependReactor("patch", "pipelineruns", func(action fakes.Action) (bool, runtime.Object, error) {
		patched <- action.(fakes.PatchAction).GetName()
		return false, nil, nil
	})
	wake := make(chan struct{}, 1)
	informer, err := watchRuns(w.client, wake)
	if err != nil {
		t.Fatal(err)
	}
	w.list = cached(informer)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go informer.RunWithContext(ctx)
	go func() { defer close(ended); w.heal(ctx, wake) }()

	names := []string{<-patched}
	for _, run := range []*unstructured.Unstructured{object("second", "False", left[unlogged]), object("third", "True", left[retried])} {
		if err := w.client.Tracker().Create(pipelineRuns, run, "team-a"); err != nil {
			t.Fatal(err)
		}
		names = append(names, <-patched)
	}
	if !slices.Equal(names, []string{"first", "second", "third"}) {
		t.Errorf("patched: %v", names)
	}
	cancel()
	<-ended
	for _, run := range informer.GetStore().List() {
		if _, isThere := run.(*unstructured.Unstructured).Object["spec"]; isThere {
			t.Error("definitions are kept in memory")
		}
	}
}
