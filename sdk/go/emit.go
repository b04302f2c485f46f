package modrun

import (
	"fmt"

	"modularruntime/modrun/internal/wire"
)

// What sends the tables, selections and batches that a handler emitted: as they are, cut where they do not fit, or without
// the rows that fit nowhere.

// emit sends what a handler emitted for an input batch, or for none.
func (s *session) emit(input uint64) error {
	if err := s.fits(); err != nil {
		return err
	}
	for _, e := range s.out.emitted {
		var err error
		switch {
		case e.table != nil:
			err = s.sendTable(e.table, input)
		case e.selection != nil:
			err = s.sendSelection(e.selection, input)
		default:
			err = s.sendBatch(e.batch, input)
		}
		if err != nil {
			return err
		}
	}
	s.out.emitted, s.out.inUse, s.out.selecting = s.out.emitted[:0], 0, 0
	return nil
}

// fits tells, before anything is sent, whether all tables are whole and each of their rows can be sent.
func (s *session) fits() error {
	for _, e := range s.out.emitted {
		if e.table == nil {
			continue
		}
		if err := e.table.check(); err != nil {
			return err
		}
		rows := e.table.Rows()
		if len(e.table.origins) > 0 || wire.PayloadSize(e.table.builders, 0, rows) <= s.capacity() {
			continue
		}
		if len(s.out.emitted) == 1 && s.out.input != nil && rows == s.out.input.Rows() {
			e.table.originsInOrder(rows) // as many rows as events: one of each
			continue
		}
		for row := range rows {
			if size := s.rowSize(e.table, row); size > s.capacity() {
				return s.tooLarge(size)
			}
		}
	}
	return nil
}

// rowSize returns the bytes of a batch of one row; a dictionary that is too large for that is given up.
func (s *session) rowSize(t *Table, row int) int {
	size := wire.PayloadSize(t.builders, row, row+1)
	if size > s.capacity() {
		for at := range t.builders {
			t.builders[at].Plain()
		}
		size = wire.PayloadSize(t.builders, row, row+1)
	}
	return size
}

func (s *session) tooLarge(size int) error {
	return fmt.Errorf("an event of %d bytes does not fit into the %d bytes that a batch may have: raise `limits.segment`", size,
		s.capacity())
}

// sendTable sends the rows of a table, in as many batches as it takes.
func (s *session) sendTable(t *Table, input uint64) error {
	for from, rows := 0, t.Rows(); from < rows; {
		to := min(rows, from+tableRows)
		size := wire.PayloadSize(t.builders, from, to)
		for size > s.capacity() && to > from+1 {
			to = from + (to-from)/2
			size = wire.PayloadSize(t.builders, from, to)
		}
		if to == from+1 {
			size = s.rowSize(t, from)
		}
		if size > s.capacity() {
			if len(t.origins) == 0 {
				return Fatal(s.tooLarge(size))
			}
			s.failures.add(int(t.origins[from]), s.tooLarge(size))
			from++
			continue
		}
		room, err := s.room(size, to-from, wire.FormTable, input)
		if err != nil {
			return err
		}
		wire.WritePayload(room, t.builders, from, to)
		from = to
	}
	return nil
}

// sendSelection sends which rows of the input batch go on: as bits, or as a table if the columns change.
func (s *session) sendSelection(selection *Selection, input uint64) error {
	kept := selection.Count()
	if kept == 0 {
		return nil
	}
	size := wire.BitmapBytes(selection.rows)
	if s.output.Equal(s.input) && size <= s.capacity() {
		room, err := s.room(size, kept, wire.FormSelection, input)
		if err == nil {
			selection.write(room)
		}
		return err
	}
	s.ledger.enter(encoding)
	t := s.out.take()
	selection.each(func(row int) {
		t.appendRow(s.out.input, s.out.columns, row)
		t.origins = append(t.origins, uint32(row))
	})
	return s.sendTable(t, input)
}

// sendBatch sends the columns of a batch that the output has.
func (s *session) sendBatch(b *Batch, input uint64) error {
	if b.Rows() == 0 {
		return nil
	}
	if s.output.Equal(b.schema) && len(b.payload) <= s.capacity() {
		room, err := s.room(len(b.payload), b.Rows(), wire.FormTable, input)
		if err == nil {
			copy(room, b.payload)
		}
		return err
	}
	s.ledger.enter(encoding)
	t := s.out.take()
	t.appendBatch(b, columnsOf(s.output, b.schema))
	if b == s.out.input {
		t.originsInOrder(b.Rows())
	}
	return s.sendTable(t, input)
}

// settle sends the rows of a table that has grown large, before its batch is done with.
func (s *session) settle(t *Table, input uint64) error {
	if t.Rows() < tableRows && t.bytes() < tableBytes {
		return nil
	}
	err := s.sendTable(t, input)
	t.reset()
	return err
}
