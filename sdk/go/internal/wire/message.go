package wire

import (
	"encoding/binary"
	"strings"
)

// Version is the protocol's version.
const Version = 1

// None stands for no batch (Batch.Input) and for no place in a segment (Batch.Offset).
const None = 1<<64 - 1

// Forms of a batch.
const (
	FormTable     = 0
	FormSelection = 1
)

// To names the messages that the runtime sends.
type To uint8

// What the runtime sends, by field number of ToStage.
const (
	ToOpen To = iota + 1
	ToBatch
	ToCredit
	ToState
	ToBarrier
	ToEnd
	ToCommit
)

// From names the messages that a stage sends.
type From uint8

// What a stage sends, by field number of FromStage.
const (
	FromReady From = iota + 1
	FromBatch
	FromCredit
	FromState
	FromSnapshot
	FromFailed
	FromActivity
	FromDone
	FromCommitted
)

// Policy says how many rows a batch should have.
type Policy struct {
	Rows     uint32 // so many, except at the end; 0: adaptive
	LingerUs uint64 // a smaller batch leaves after so long; 0: it waits until it is full
}

// Open is everything that a stage needs to know.
type Open struct {
	Protocol      uint32
	Generation    uint64
	Stage         string
	Config        string
	Input         Schema
	HasInput      bool
	Output        Schema
	HasOutput     bool
	WindowBatches uint32
	WindowBytes   uint64
	InlineMax     uint64
	InputSegment  uint64
	OutputSegment uint64
	Policy        Policy
	StateChunks   uint32
	Replica       uint32
	Replicas      uint32
	Unmeasured    bool // read no clocks for Activity
}

// Role is the end of a stage at which it has links.
type Role uint8

// The roles of stages.
const (
	Source Role = iota + 1
	Transform
	Sink
)

// Concurrency says whether several processes may share the input.
type Concurrency uint8

// What a stage declares.
const (
	Stateless Concurrency = iota + 1
	Ordered
)

// Ready says that the stage is open.
type Ready struct {
	SDK         string
	Role        Role
	Concurrency Concurrency
	Output      Schema
	HasOutput   bool
}

// Batch announces rows for the other side.
type Batch struct {
	Seq    uint64
	Offset uint64
	Length uint32
	Rows   uint32
	Form   uint32
	Input  uint64
}

// Credit says that a batch is done with.
type Credit struct {
	Seq      uint64
	Events   uint32
	Filtered uint32
}

// Kind says what to do about a failure.
type Kind uint8

// The kinds of failures.
const (
	Invalid Kind = iota + 1
	Unavailable
	Fenced
	StageFailed
	Internal
)

// Failed says that something went wrong: with events where Rows is not empty, with the stage otherwise.
type Failed struct {
	Kind    Kind
	Code    string
	Message string
	Detail  string
	Input   uint64
	Rows    []uint32
	// Where the event is a line of its row's text.
	TextOffset uint64
	TextLength uint64
	Event      string // the event as a JSON object, where it is no row
}

// Activity is where the time of the stage's loop went, in nanoseconds.
type Activity struct {
	Spent      [7]uint64 // receive, decode, process, encode, send, starved, backpressured
	CPU        uint64
	BytesRead  uint64
	BytesTotal uint64
}

// Done says that the stage has sent all that it will.
type Done struct {
	Artifact string
	Rows     uint64
}

// Bounds of a failure's texts (PROTOCOL.md, E1).
const (
	failureMessageMax = 1 << 10
	failureDetailMax  = 8 << 10
)

// IsBatch tells whether the message is a Batch frame's, without reading it.
func IsBatch(message []byte) bool {
	return len(message) == batchMessage && message[0] == 0x12 && message[1] == 0x2a
}

// IsCredit tells whether the message is a Credit frame's, without reading it.
func IsCredit(message []byte) bool {
	return len(message) == creditMessage && message[0] == 0x1a && message[1] == 0x13
}

// ParseBatch reads the message of a Batch frame.
func ParseBatch(message []byte) (Batch, error) {
	m := message
	if !IsBatch(m) || m[2] != 0x09 || m[11] != 0x11 || m[20] != 0x1d || m[25] != 0x25 || m[30] != 0x2d || m[35] != 0x31 {
		return Batch{}, broken("a `Batch` message of %d bytes has not its fixed form", len(m))
	}
	return Batch{
		Seq:    binary.LittleEndian.Uint64(m[3:]),
		Offset: binary.LittleEndian.Uint64(m[12:]),
		Length: binary.LittleEndian.Uint32(m[21:]),
		Rows:   binary.LittleEndian.Uint32(m[26:]),
		Form:   binary.LittleEndian.Uint32(m[31:]),
		Input:  binary.LittleEndian.Uint64(m[36:]),
	}, nil
}

// Place tells whether the payload lies where it may: inline, or in a segment of so many bytes.
func (b Batch) Place(inline []byte, inlineMax, segment uint64) error {
	end := b.Offset + uint64(b.Length)
	switch {
	case b.Form > FormSelection:
		return broken("batch %d has the form %d", b.Seq, b.Form)
	case b.Offset == None && (uint64(b.Length) != uint64(len(inline)) || uint64(b.Length) > inlineMax):
		return broken("batch %d has %d bytes inline, not %d, of at most %d", b.Seq, len(inline), b.Length, inlineMax)
	case b.Offset != None && (b.Offset%slotAlign != 0 || end < b.Offset || end > segment || len(inline) > 0):
		return broken("batch %d has %d bytes at %d of a segment of %d, and %d inline", b.Seq, b.Length, b.Offset, segment,
			len(inline))
	}
	return nil
}

func (b Batch) append(to []byte) []byte {
	to = append(to, 0x12, 0x2a, 0x09)
	to = append(binary.LittleEndian.AppendUint64(to, b.Seq), 0x11)
	to = append(binary.LittleEndian.AppendUint64(to, b.Offset), 0x1d)
	to = append(binary.LittleEndian.AppendUint32(to, b.Length), 0x25)
	to = append(binary.LittleEndian.AppendUint32(to, b.Rows), 0x2d)
	to = append(binary.LittleEndian.AppendUint32(to, b.Form), 0x31)
	return binary.LittleEndian.AppendUint64(to, b.Input)
}

// ParseCredit reads a Credit frame.
func ParseCredit(frame Frame) (Credit, error) {
	m := frame.Message
	if !IsCredit(m) || len(frame.Payload) > 0 || m[2] != 0x09 || m[11] != 0x15 || m[16] != 0x1d {
		return Credit{}, broken("a `Credit` message of %d bytes and %d of payload has not its fixed form", len(m), len(frame.Payload))
	}
	return Credit{
		Seq:      binary.LittleEndian.Uint64(m[3:]),
		Events:   binary.LittleEndian.Uint32(m[12:]),
		Filtered: binary.LittleEndian.Uint32(m[17:]),
	}, nil
}

func (c Credit) append(to []byte) []byte {
	to = append(to, 0x1a, 0x13, 0x09)
	to = append(binary.LittleEndian.AppendUint64(to, c.Seq), 0x15)
	to = append(binary.LittleEndian.AppendUint32(to, c.Events), 0x1d)
	return binary.LittleEndian.AppendUint32(to, c.Filtered)
}

func wrap(kind From, body []byte) []byte { return appendMessage(nil, int(kind), body) }

func appendSchema(to []byte, field int, schema Schema) []byte {
	var body []byte
	for _, column := range schema {
		inner := appendText(nil, 1, column.Name)
		inner = appendNumber(inner, 2, uint64(column.Type))
		if column.Nullable {
			inner = appendNumber(inner, 3, 1)
		}
		body = appendMessage(body, 1, inner)
	}
	return appendMessage(to, field, body)
}

// Encode returns the message's bytes.
func (r Ready) Encode() []byte {
	body := appendNumber(nil, 1, Version)
	body = appendText(body, 2, r.SDK)
	body = appendNumber(body, 3, uint64(r.Role))
	body = appendNumber(body, 4, uint64(r.Concurrency))
	if r.HasOutput {
		body = appendSchema(body, 5, r.Output)
	}
	return wrap(FromReady, body)
}

// Encode returns the message's bytes; texts that are too long lose their beginning.
func (f Failed) Encode() []byte {
	body := appendNumber(nil, 1, uint64(f.Kind))
	body = appendText(body, 2, tail(f.Code, failureMessageMax))
	body = appendText(body, 3, tail(strings.ReplaceAll(f.Message, "\n", " "), failureMessageMax))
	body = appendText(body, 4, tail(f.Detail, failureDetailMax))
	body = appendFixed8(body, 5, f.Input)
	body = appendPacked(body, 6, f.Rows)
	body = appendNumber(body, 7, f.TextOffset)
	body = appendNumber(body, 8, f.TextLength)
	body = appendText(body, 9, f.Event)
	return wrap(FromFailed, body)
}

// tail returns the last max bytes of text, beginning with a whole character.
func tail(text string, max int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= max {
		return text
	}
	text = text[len(text)-max:]
	for len(text) > 0 && text[0]&0xC0 == 0x80 {
		text = text[1:]
	}
	return text
}

// Encode returns the message's bytes.
func (a Activity) Encode() []byte {
	var body []byte
	for at, spent := range a.Spent {
		body = appendNumber(body, at+1, spent)
	}
	body = appendNumber(body, 8, a.CPU)
	body = appendNumber(body, 9, a.BytesRead)
	body = appendNumber(body, 10, a.BytesTotal)
	return wrap(FromActivity, body)
}

// Encode returns the message's bytes.
func (d Done) Encode() []byte {
	return wrap(FromDone, appendNumber(appendText(nil, 1, d.Artifact), 2, d.Rows))
}

// EncodeState returns the bytes of the State message that comes before a chunk.
func EncodeState(index uint32) []byte { return wrap(FromState, appendNumber(nil, 1, uint64(index))) }

// EncodeSnapshot returns the bytes of the Snapshot message.
func EncodeSnapshot(epoch uint64, chunks uint32) []byte {
	return wrap(FromSnapshot, appendNumber(appendNumber(nil, 1, epoch), 2, uint64(chunks)))
}

// EncodeCommitted returns the bytes of the Committed message.
func EncodeCommitted() []byte { return wrap(FromCommitted, nil) }
