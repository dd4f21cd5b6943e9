// Load sends the requests of a file to a Kubernetes API server as fast as it takes them, and says how long that took.
//
// It is what a benchmark of ours is compared with: the same bytes, by a compiled program that does nothing else. One
// line of the file is one request, {"path": "/api/…?fieldManager=…", "body": "…"}; all are PATCHes that apply.
package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

type request struct {
	Path string `json:"path"`
	Body string `json:"body"`
}

func main() {
	url := flag.String("url", "", "of the API server")
	ca := flag.String("ca", "", "file with the certificate that signs the server's")
	tokenFile := flag.String("token-file", "", "file with a bearer token")
	file := flag.String("requests", "", "file with the requests")
	connections := flag.Int("connections", 32, "connections, each with one request at a time")
	flag.Parse()

	certificate, err := os.ReadFile(*ca)
	check(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certificate)
	token, err := os.ReadFile(*tokenFile)
	check(err)
	client := &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: *connections,
		TLSClientConfig:     &tls.Config{RootCAs: roots},
		// HTTP/1.1: over one HTTP/2 connection the requests would share a single TCP stream.
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
	}}
	requests := read(*file)
	var next, failed atomic.Int64
	var workers sync.WaitGroup
	authorization := "Bearer " + string(bytes.TrimSpace(token))
	began := time.Now()
	for range *connections {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for {
				position := int(next.Add(1)) - 1
				if position >= len(requests) {
					return
				}
				if err := send(client, *url, authorization, requests[position]); err != nil {
					log.Print(err)
					failed.Add(1)
				}
			}
		}()
	}
	workers.Wait()
	seconds := time.Since(began).Seconds()
	fmt.Printf("{\"seconds\": %f, \"failed\": %d}\n", seconds, failed.Load())
}

func send(client *http.Client, url, authorization string, one request) error {
	patch, err := http.NewRequest(http.MethodPatch, url+one.Path, bytes.NewReader([]byte(one.Body)))
	if err != nil {
		return err
	}
	patch.Header.Set("Authorization", authorization)
	patch.Header.Set("Content-Type", "application/apply-patch+yaml")
	patch.Header.Set("Accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json")
	patch.Header.Set("User-Agent", "load")
	answer, err := client.Do(patch)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode >= 300 {
		return fmt.Errorf("%s: %s", one.Path, answer.Status)
	}
	return nil
}

func read(name string) []request {
	file, err := os.Open(name)
	check(err)
	defer file.Close()
	var requests []request
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var one request
		check(json.Unmarshal(lines.Bytes(), &one))
		requests = append(requests, one)
	}
	check(lines.Err())
	return requests
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
