package wire

import (
	"fmt"
	"syscall"
)

// slotAlign is what the offset of a slot is a multiple of.
const slotAlign = 64

// Map maps the first size bytes of a segment; no bytes if size is 0.
func Map(fd int, size uint64, write bool) ([]byte, error) {
	if size == 0 {
		return nil, nil
	}
	protection := syscall.PROT_READ
	if write {
		protection |= syscall.PROT_WRITE
	}
	memory, err := syscall.Mmap(fd, 0, int(size), protection, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("cannot map a segment of %d bytes: %w", size, err)
	}
	return memory, nil
}

// Unmap gives back what Map returned.
func Unmap(memory []byte) {
	if len(memory) > 0 {
		_ = syscall.Munmap(memory) // it is mapped: there is nothing that can fail
	}
}

// Slots finds room in a segment: the lowest that fits, so that few pages are hot.
type Slots struct {
	size uint64
	used []slot // by offset
}

type slot struct{ offset, end, seq uint64 }

// NewSlots returns the slots of a segment of so many bytes.
func NewSlots(size uint64) *Slots { return &Slots{size: size} }

// Take finds room for length bytes until Free(seq); false if there is none.
func (s *Slots) Take(length int, seq uint64) (offset uint64, ok bool) {
	at := 0
	for ; at < len(s.used) && s.used[at].offset < offset+uint64(length); at++ {
		offset = (s.used[at].end + slotAlign - 1) &^ (slotAlign - 1)
	}
	if offset+uint64(length) > s.size {
		return 0, false
	}
	s.used = append(s.used, slot{})
	copy(s.used[at+1:], s.used[at:])
	s.used[at] = slot{offset, offset + uint64(length), seq}
	return offset, true
}

// Free gives back the room of a batch, if it has any.
func (s *Slots) Free(seq uint64) {
	for at := range s.used {
		if s.used[at].seq == seq {
			s.used = append(s.used[:at], s.used[at+1:]...)
			return
		}
	}
}
