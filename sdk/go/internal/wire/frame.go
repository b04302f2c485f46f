package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"syscall"
	"unsafe"
)

// Limits of frames (PROTOCOL.md, F2).
const (
	MessageMax      = 1 << 20 // bytes of a message
	StatePayloadMax = 1 << 20 // bytes of payload behind a State message
)

const (
	frameHeader   = 8        // bytes before the message: two lengths
	readBytes     = 64 << 10 // room that a reader has at the beginning
	batchMessage  = 2 + 42   // bytes of a Batch message
	creditMessage = 2 + 19   // bytes of a Credit message

	// Where a Batch frame must begin for its payload to be aligned.
	batchStart = -(frameHeader + batchMessage) & 7
)

// ErrFrame is the cause of every error about a frame or table that breaks a rule of the protocol.
var ErrFrame = errors.New("the protocol is broken")

// ErrSocket is the cause of every error about a socket that cannot be read or written.
var ErrSocket = errors.New("the socket to the runtime is broken")

func broken(format string, values ...any) error {
	return fmt.Errorf("%w: %s", ErrFrame, fmt.Sprintf(format, values...))
}

// Frame is one message and its payload. Both lie in the reader's buffer and are good until its next Fill.
type Frame struct {
	Message []byte
	Payload []byte
}

// Reader takes frames from a socket, as many as there are with one read.
type Reader struct {
	fd         int
	buffer     []byte // its first byte is at an address that is a multiple of 8
	start, end int    // what was read and not yet taken
	inlineMax  int
}

// NewReader returns a reader of the connected stream socket fd.
func NewReader(fd int) *Reader {
	return &Reader{fd: fd, buffer: alignedBytes(readBytes)}
}

// AllowInline sets how long the inline payload of a batch may be at most.
func (r *Reader) AllowInline(bytes uint64) { r.inlineMax = int(min(bytes, PayloadMax)) }

// Next returns the next frame if the whole of it was read.
func (r *Reader) Next() (Frame, bool, error) {
	size, message, err := r.size()
	if err != nil || size == 0 || r.end-r.start < size {
		return Frame{}, false, err
	}
	frame := r.buffer[r.start+frameHeader : r.start+size : r.start+size]
	r.start += size
	return Frame{frame[:message:message], frame[message:]}, true, nil
}

// size returns the sizes of the frame at the beginning and of its message; 0 if the frame's header is not there.
func (r *Reader) size() (frame, message int, err error) {
	if r.end-r.start < frameHeader {
		return 0, 0, nil
	}
	message = int(binary.LittleEndian.Uint32(r.buffer[r.start:]))
	payload := int(binary.LittleEndian.Uint32(r.buffer[r.start+4:]))
	if message > MessageMax {
		return 0, 0, broken("a message of %d bytes is longer than %d", message, MessageMax)
	}
	most := max(r.inlineMax, StatePayloadMax)
	if there := r.buffer[r.start+frameHeader : r.end]; len(there) >= message && IsBatch(there[:message]) {
		most = r.inlineMax
	}
	if payload > most {
		return 0, 0, broken("an inline payload of %d bytes is longer than %d", payload, most)
	}
	return frameHeader + message + payload, message, nil
}

// Fill reads what there is. If nothing is there it waits, or, unless wait is set, returns 0. At the end of the socket
// the error is io.EOF.
func (r *Reader) Fill(wait bool) (int, error) {
	if err := r.makeRoom(); err != nil {
		return 0, err
	}
	for {
		n, errno := receive(r.fd, r.buffer[r.end:], wait)
		switch {
		case errno == syscall.EINTR:
			continue
		case errno == syscall.EAGAIN && !wait:
			return 0, nil
		case errno == syscall.ECONNRESET, errno == 0 && n == 0:
			return 0, io.EOF
		case errno != 0:
			return 0, fmt.Errorf("%w: cannot read: %w", ErrSocket, errno)
		}
		r.end += n
		return n, nil
	}
}

// makeRoom moves the part of a frame that is there to where its payload will be aligned, if its rest needs room.
func (r *Reader) makeRoom() error {
	if r.start == r.end {
		r.start, r.end = batchStart, batchStart
	}
	size, message, err := r.size()
	if err != nil {
		return err
	}
	if size == 0 {
		size, message = readBytes/2, batchMessage
	}
	if r.start+size <= len(r.buffer) && r.end < len(r.buffer) {
		return nil
	}
	at := -(frameHeader + message) & 7
	buffer := r.buffer
	if at+size > len(buffer) {
		buffer = alignedBytes(max(at+size, 2*len(buffer)))
	}
	n := copy(buffer[at:], r.buffer[r.start:r.end])
	r.buffer, r.start, r.end = buffer, at, at+n
	return nil
}

// Detach leaves what was read to those who still look at it, and reads on in a buffer of its own.
func (r *Reader) Detach() {
	buffer := alignedBytes(len(r.buffer))
	r.end = copy(buffer, r.buffer[r.start:r.end])
	r.start, r.buffer = 0, buffer
}

func receive(fd int, room []byte, wait bool) (int, syscall.Errno) {
	at := uintptr(unsafe.Pointer(unsafe.SliceData(room)))
	if wait {
		n, _, errno := syscall.Syscall6(syscall.SYS_RECVFROM, uintptr(fd), at, uintptr(len(room)), 0, 0, 0)
		return int(n), errno
	}
	// Never sleeps, so that the Go scheduler need not know.
	n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(fd), at, uintptr(len(room)), syscall.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

// Writer gathers frames and writes them at once.
type Writer struct {
	fd     int
	buffer []byte
}

// NewWriter returns a writer to the connected stream socket fd.
func NewWriter(fd int) *Writer { return &Writer{fd: fd} }

// Pending returns how many bytes wait to be written.
func (w *Writer) Pending() int { return len(w.buffer) }

// Frame adds a frame whose message and payload are there.
func (w *Writer) Frame(message, payload []byte) {
	w.buffer = binary.LittleEndian.AppendUint32(w.buffer, uint32(len(message)))
	w.buffer = binary.LittleEndian.AppendUint32(w.buffer, uint32(len(payload)))
	w.buffer = append(w.buffer, message...)
	w.buffer = append(w.buffer, payload...)
}

// Batch adds a Batch frame and returns the room for its inline payload, which is good until the next call.
func (w *Writer) Batch(batch Batch, inline int) []byte {
	w.buffer = binary.LittleEndian.AppendUint32(w.buffer, batchMessage)
	w.buffer = binary.LittleEndian.AppendUint32(w.buffer, uint32(inline))
	w.buffer = batch.append(w.buffer)
	at := len(w.buffer)
	if cap(w.buffer)-at < inline {
		grown := make([]byte, at, 2*cap(w.buffer)+inline)
		copy(grown, w.buffer)
		w.buffer = grown
	}
	w.buffer = w.buffer[:at+inline]
	return w.buffer[at:]
}

// Credit adds a Credit frame.
func (w *Writer) Credit(credit Credit) {
	w.buffer = binary.LittleEndian.AppendUint32(w.buffer, creditMessage)
	w.buffer = binary.LittleEndian.AppendUint32(w.buffer, 0)
	w.buffer = credit.append(w.buffer)
}

// Flush writes all frames that were added.
func (w *Writer) Flush() error {
	rest := w.buffer
	for len(rest) > 0 {
		n, _, errno := syscall.Syscall6(syscall.SYS_SENDTO, uintptr(w.fd), uintptr(unsafe.Pointer(unsafe.SliceData(rest))),
			uintptr(len(rest)), syscall.MSG_NOSIGNAL, 0, 0)
		if errno == syscall.EINTR {
			continue
		}
		if errno != 0 {
			w.buffer = w.buffer[:0]
			return fmt.Errorf("%w: cannot write: %w", ErrSocket, errno)
		}
		rest = rest[n:]
	}
	w.buffer = w.buffer[:0]
	return nil
}
