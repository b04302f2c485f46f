package modrun

import "fmt"

// Output is what a batch handler emits: tables, selections and batches, in order. They are sent when the handler has
// returned without an error; if it returned one, nothing is.
type Output struct {
	schema  Schema
	input   *Batch // the batch that the handler was given, nil at the end
	emitted []emission
	tables  []*Table // to be used again
	inUse   int
	columns []int // of the input, for each column of the schema
	writer  *eventWriter

	selections []*Selection
	selecting  int
	failures   *failures
	counted    bool
	events     int
	filtered   int
}

// emission is one of three.
type emission struct {
	table     *Table
	selection *Selection
	batch     *Batch
}

func newOutput(schema, input Schema, failed *failures) *Output {
	o := &Output{schema: schema, failures: failed, writer: newEventWriter(schema, input)}
	o.columns = o.writer.columns
	return o
}

// begin forgets what was emitted, for the next batch.
func (o *Output) begin(input *Batch) {
	o.input, o.emitted, o.inUse, o.selecting, o.counted = input, o.emitted[:0], 0, 0, false
}

// Schema returns the columns of the output, in order.
func (o *Output) Schema() Schema { return o.schema }

// Table adds a table to what is emitted, to be filled before the handler returns.
func (o *Output) Table() *Table {
	t := o.take()
	o.emitted = append(o.emitted, emission{table: t})
	return t
}

// take returns an empty table that is in use until the next batch.
func (o *Output) take() *Table {
	if o.inUse == len(o.tables) {
		o.tables = append(o.tables, newTable(o.schema))
	}
	t := o.tables[o.inUse]
	o.inUse++
	t.reset()
	return t
}

// Select adds a selection of the input batch's rows to what is emitted. It begins with none.
func (o *Output) Select() *Selection {
	o.mustHaveInput("select")
	if err := o.writer.whole(); err != nil {
		panic(err)
	}
	if o.selecting == len(o.selections) {
		o.selections = append(o.selections, &Selection{})
	}
	s := o.selections[o.selecting]
	o.selecting++
	s.reset(o.input.Rows())
	o.emitted = append(o.emitted, emission{selection: s})
	return s
}

func (o *Output) mustHaveInput(what string) {
	if o.input == nil {
		panic(fmt.Errorf("at the end there is no batch of which to %s rows", what))
	}
}

// Batch adds a copy of a batch, the handler's or a kept one, to what is emitted: its columns of the output's names.
func (o *Output) Batch(b *Batch) {
	if err := newEventWriter(o.schema, b.schema).whole(); err != nil {
		panic(err)
	}
	o.emitted = append(o.emitted, emission{batch: b})
}

// Fail says that an event of the input batch failed: its row must not be emitted, and its error costs nothing else.
func (o *Output) Fail(row int, err error) {
	o.mustHaveInput("fail")
	o.failures.add(row, err)
}

// FailText says that one line failed of a row that holds a block of text: where in the row's text it begins, and how many
// bytes it has without the newline.
func (o *Output) FailText(row, offset, length int, err error) {
	o.mustHaveInput("fail")
	o.failures.addText(row, uint64(offset), uint64(length), err)
}

// Count says how many events the batch held and how many of them the handler dropped on purpose. Without it, events are
// rows, and those that a selection leaves out were dropped.
func (o *Output) Count(events, filtered int) {
	o.counted, o.events, o.filtered = true, events, filtered
}
