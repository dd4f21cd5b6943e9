package main

import (
	"fmt"
	"time"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// Messages travel as bytes, with the field numbers of protos/agentlink/v1/agentlink.proto: generated code for ten
// thousand agents that look at three fields each would cost the machine more than what is measured.

type message []byte

type codec struct{}

func (codec) Name() string { return "proto" }

func (codec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*message))}, nil
}

func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*message) = data.Materialize()
	return nil
}

func init() { encoding.RegisterCodecV2(codec{}) }

// Of KasMessage.
const (
	configuration    = 1
	snapshotHeader   = 2
	snapshotComplete = 4
	moving           = 6
)

// Of SyncState.
const (
	applying = 2
	applied  = 3
	healthy  = 4
)

// header is what an agent needs of a SnapshotHeader.
type header struct {
	project        uint64
	commit, syncID string
	digest         []byte
	objects        uint64
}

// fields calls f with every field of a message: its number, its bytes or its varint.
func fields(data []byte, f func(number protowire.Number, value []byte, varint uint64)) error {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return protowire.ParseError(n)
		}
		data = data[n:]
		switch kind {
		case protowire.BytesType:
			value, n := protowire.ConsumeBytes(data)
			if n < 0 {
				return protowire.ParseError(n)
			}
			f(number, value, 0)
			data = data[n:]
		case protowire.VarintType:
			value, n := protowire.ConsumeVarint(data)
			if n < 0 {
				return protowire.ParseError(n)
			}
			f(number, nil, value)
			data = data[n:]
		default:
			n := protowire.ConsumeFieldValue(number, kind, data)
			if n < 0 {
				return protowire.ParseError(n)
			}
			data = data[n:]
		}
	}
	return nil
}

// kindOf returns which message a KasMessage has, and its content.
func kindOf(m message) (kind protowire.Number, content []byte, err error) {
	err = fields(m, func(number protowire.Number, value []byte, _ uint64) { kind, content = number, value })
	return kind, content, err
}

func parseHeader(data []byte) (h header, err error) {
	err = fields(data, func(number protowire.Number, value []byte, varint uint64) {
		switch number {
		case 1:
			h.project = varint
		case 2:
			h.commit = string(value)
		case 3:
			h.syncID = string(value)
		case 4:
			h.digest = append([]byte(nil), value...)
		case 8:
			h.objects = varint
		}
	})
	return h, err
}

func projectOf(data []byte) (project uint64, err error) {
	err = fields(data, func(number protowire.Number, _ []byte, varint uint64) {
		if number == 1 {
			project = varint
		}
	})
	return project, err
}

func text(to []byte, number protowire.Number, value string) []byte {
	return protowire.AppendString(protowire.AppendTag(to, number, protowire.BytesType), value)
}

func part(to []byte, number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(to, number, protowire.BytesType), value)
}

func number(to []byte, field protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(to, field, protowire.VarintType), value)
}

// hello says what the agent is and what it holds.
func hello(instance string, holding map[uint64]header) message {
	var meta []byte
	meta = text(meta, 1, "0.0.0-bench")
	meta = text(meta, 3, "agentk")
	meta = text(meta, 4, "agentk-"+instance)
	meta = text(meta, 5, "v1.36.3")
	meta = text(meta, 6, instance)
	said := part(nil, 1, meta)
	for project, h := range holding {
		held := number(nil, 1, project)
		held = text(held, 2, h.commit)
		held = part(held, 3, h.digest)
		said = part(said, 2, held)
	}
	return part(nil, 1, said)
}

// reports is a batch with the states a sync has reached, and with the last one what became of its objects.
func reports(h header, instance string, states ...uint64) message {
	var batch []byte
	for _, state := range states {
		sync := text(nil, 1, h.syncID)
		sync = number(sync, 2, h.project)
		sync = text(sync, 3, h.commit)
		sync = number(sync, 4, state)
		counts := number(nil, 1, h.objects)
		counts = number(counts, 3, h.objects)
		sync = part(sync, 7, counts)
		batch = part(batch, 1, report(fmt.Sprintf("%s-%s-%d", instance, h.syncID, state), 3, sync))
		if state == applied {
			outcomes := text(nil, 1, h.syncID)
			outcomes = number(outcomes, 2, h.project)
			for n := range h.objects {
				ref := text(nil, 2, "ConfigMap")
				ref = text(ref, 3, "bench")
				ref = text(ref, 4, fmt.Sprintf("object-%d", n))
				outcome := part(nil, 1, ref)
				outcome = number(outcome, 2, 2)
				outcome = number(outcome, 3, 1)
				outcomes = part(outcomes, 3, outcome)
			}
			batch = part(batch, 1, report(fmt.Sprintf("%s-%s-outcomes", instance, h.syncID), 4, outcomes))
		}
	}
	return batch
}

func report(id string, kind protowire.Number, content []byte) []byte {
	now := time.Now()
	at := number(nil, 1, uint64(now.Unix()))
	at = number(at, 2, uint64(now.Nanosecond()))
	said := text(nil, 1, id)
	said = part(said, 2, at)
	return part(said, kind, content)
}
