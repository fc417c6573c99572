package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const longestText = 1 << 20

// summary is what the service finds out about a text.
type summary struct {
	Words      int    `json:"words"`
	Characters int    `json:"characters"`
	SHA256     string `json:"sha256"`
}

type problem struct {
	Error string `json:"error"`
}

// newHandler returns the service with its own metrics registry.
func newHandler() http.Handler {
	registry := prometheus.NewRegistry()
	requests := prometheus.NewCounterVec(
		prometheus.CounterOpts{Name: "go_service_requests_total", Help: "Requests by route and status."},
		[]string{"route", "status"},
	)
	registry.MustRegister(requests)

	router := chi.NewRouter()
	router.Use(middleware.Recoverer, count(requests))
	router.Get("/healthz", func(w http.ResponseWriter, _ *http.Request) { write(w, http.StatusOK, "ok") })
	router.Post("/v1/summary", summarize)
	router.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return router
}

func count(requests *prometheus.CounterVec) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			recorder := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
			next.ServeHTTP(recorder, r)
			route := chi.RouteContext(r.Context()).RoutePattern()
			requests.WithLabelValues(route, strconv.Itoa(recorder.Status())).Inc()
		})
	}
}

func summarize(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, longestText))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		write(w, http.StatusRequestEntityTooLarge, problem{"the text is longer than 1 MiB"})
	case err != nil:
		write(w, http.StatusBadRequest, problem{"the text could not be read"})
	case !utf8.Valid(body):
		write(w, http.StatusUnsupportedMediaType, problem{"the text is not UTF-8"})
	default:
		hash := sha256.Sum256(body)
		write(w, http.StatusOK, summary{
			Words:      len(strings.Fields(string(body))),
			Characters: utf8.RuneCount(body),
			SHA256:     hex.EncodeToString(hash[:]),
		})
	}
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		slog.Warn("answer not sent", "error", err)
	}
}
