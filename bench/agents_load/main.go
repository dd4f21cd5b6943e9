// Command agents_load is a fleet of agents that have no clusters: it speaks the agents' protocol with kas over real
// connections, gRPC or websocket, takes what it is sent, and reports it applied. bench/fleet.py drives it: a command a
// line on standard input, a JSON answer to each on standard output.
//
//	connect N   connect the first N agents; answers at once
//	state       who is connected, what was delivered
//	commit ID   when a commit was delivered: how many agents have it, the times (Unix seconds) of first, median, last
//	lose        every agent loses its connection, at once, and connects again
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type bufferPool struct{ sync.Pool }

// fleet is all agents of this process, and what they have seen.
type fleet struct {
	targets   []string
	websocket bool
	reporting bool
	work      time.Duration
	apart     time.Duration
	tokens    []string
	agents    []*agent

	sentAway, failures, reported atomic.Int64

	lock         sync.Mutex
	connectedNow int
	connections  []float64
	configs      int
	deliveries   map[string][]float64
	lastFailure  string
}

func now() float64 { return float64(time.Now().UnixMicro()) / 1e6 }

func (f *fleet) entered(*agent) {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.connectedNow++
	f.connections = append(f.connections, now())
}

func (f *fleet) left(*agent) {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.connectedNow--
}

func (f *fleet) configured(*agent) {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.configs++
}

func (f *fleet) delivered(_ *agent, commit string) {
	at := now()
	f.lock.Lock()
	defer f.lock.Unlock()
	f.deliveries[commit] = append(f.deliveries[commit], at)
}

func (f *fleet) failed(err error) {
	f.failures.Add(1)
	f.lock.Lock()
	defer f.lock.Unlock()
	f.lastFailure = err.Error()
}

// connect has agents begin as fast as kas lets them in: what all of them at once cost, "lose" shows.
func (f *fleet) connect(ctx context.Context, count int) {
	for _, a := range f.agents[:count] {
		if a.holding == nil {
			a.holding = map[uint64]header{}
			go a.run(ctx)
			time.Sleep(f.apart)
		}
	}
}

func (f *fleet) lose() {
	f.lock.Lock()
	defer f.lock.Unlock()
	for _, a := range f.agents {
		if a.lose != nil {
			a.lose()
		}
	}
}

func (f *fleet) state() map[string]any {
	f.lock.Lock()
	defer f.lock.Unlock()
	answer := map[string]any{
		"connected":      f.connectedNow,
		"connections":    len(f.connections),
		"configurations": f.configs,
		"sent_away":      f.sentAway.Load(),
		"failures":       f.failures.Load(),
		"last_failure":   f.lastFailure,
		"reported":       f.reported.Load(),
	}
	if len(f.connections) > 0 {
		answer["last_connection"] = f.connections[len(f.connections)-1]
	}
	return answer
}

func (f *fleet) commit(id string) map[string]any {
	f.lock.Lock()
	times := slices.Clone(f.deliveries[id])
	f.lock.Unlock()
	slices.Sort(times)
	if len(times) == 0 {
		return map[string]any{"agents": 0}
	}
	return map[string]any{
		"agents": len(times), "first": times[0], "median": times[len(times)/2], "last": times[len(times)-1],
	}
}

func main() {
	targets := flag.String("targets", "", "host:port,host:port of kas; agents take turns")
	websocket := flag.Bool("websocket", false, "gRPC in websockets")
	reporting := flag.Bool("report", true, "report what was delivered as applied")
	work := flag.Duration("work", 50*time.Millisecond, "how long applying takes")
	apart := flag.Duration("apart", 5*time.Millisecond, "between two agents that begin")
	tokens := flag.String("tokens", "", "file with a token a line")
	flag.Parse()
	limit := syscall.Rlimit{}
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil {
		limit.Cur = limit.Max
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			log.Fatal(err)
		}
	}
	data, err := os.ReadFile(*tokens)
	if err != nil {
		log.Fatal(err)
	}
	all := &fleet{
		targets: strings.Split(*targets, ","), websocket: *websocket, reporting: *reporting, work: *work, apart: *apart,
		tokens: strings.Fields(string(data)), deliveries: map[string][]float64{},
	}
	for n := range all.tokens {
		all.agents = append(all.agents, &agent{fleet: all, number: n, instance: fmt.Sprintf("%016x", rand.Uint64())})
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		command, argument, _ := strings.Cut(lines.Text(), " ")
		answer := map[string]any{}
		switch command {
		case "connect":
			count, err := strconv.Atoi(argument)
			if err != nil || count > len(all.agents) {
				log.Fatalf("connect %q of %d agents", argument, len(all.agents))
			}
			go all.connect(ctx, count)
		case "state":
			answer = all.state()
		case "commit":
			answer = all.commit(argument)
		case "lose":
			all.lose()
		default:
			log.Fatalf("no command %q", command)
		}
		if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
			log.Fatal(err)
		}
	}
}
