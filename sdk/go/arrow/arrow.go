// Package modrunarrow shows the batches of package modrun as Arrow records, for handlers that work with arrow-go.
//
//	modrun.Run(modrunarrow.Transform(func(in arrow.RecordBatch) (arrow.RecordBatch, error) { … }))
//
//	*modrun.Batch ──Record──▶ arrow.RecordBatch ──handler──▶ arrow.RecordBatch ──Append──▶ *modrun.Output
//
// Guarantees: a record of the input looks at the batch's memory; nothing is copied.
//
// Refuses: columns of types that no link carries. A record of the input is lent: it is good until the handler returns, and
// keeping it with Retain does not change that. A record of Batch.Keep's copy stays.
//
// Neighbours: package modrun; it is a module of its own, so that stages which do without Arrow do not build it.
package modrunarrow

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"modularruntime/modrun"
)

// dictionaryType is that of a string column which came as codes of a dictionary.
var dictionaryType = &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Uint8, ValueType: arrow.BinaryTypes.String}

// Transform returns a stateless stage that makes a record of each batch, or none if the function returns nil. An error costs
// all events of the batch.
func Transform(transform func(in arrow.RecordBatch) (arrow.RecordBatch, error)) modrun.Stage {
	return modrun.TransformBatch(func(in *modrun.Batch, out *modrun.Output) error {
		record := Record(in)
		defer record.Release()
		made, err := transform(record)
		if err != nil || made == nil {
			return err
		}
		defer made.Release()
		return Append(out, made)
	})
}

// Sink returns a stage that hands every batch to a function as a record. An error ends the run.
func Sink(consume func(in arrow.RecordBatch) error) modrun.Stage {
	return modrun.SinkBatch(func(in *modrun.Batch) error {
		record := Record(in)
		defer record.Release()
		return consume(record)
	})
}

// Record shows a batch as a record. A string column is a dictionary of strings by uint8 where it came so.
func Record(in *modrun.Batch) arrow.RecordBatch {
	fields := make([]arrow.Field, len(in.Schema()))
	columns := make([]arrow.Array, len(fields))
	for at, field := range in.Schema() {
		columns[at] = column(in, field)
		fields[at] = arrow.Field{Name: field.Name, Type: columns[at].DataType(), Nullable: field.Nullable}
	}
	record := array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, int64(in.Rows()))
	for _, column := range columns {
		column.Release()
	}
	return record
}

// column shows one column of a batch as an array.
func column(in *modrun.Batch, field modrun.Field) arrow.Array {
	name, rows := field.Name, in.Rows()
	var valid *memory.Buffer
	nulls := 0
	if bitmap := in.Valid(name); !bitmap.All() {
		valid, nulls = memory.NewBufferBytes(bitmap), array.UnknownNullCount
	}
	made := func(kind arrow.DataType, buffers ...[]byte) arrow.Array {
		all := []*memory.Buffer{valid}
		for _, bytes := range buffers {
			all = append(all, memory.NewBufferBytes(bytes))
		}
		data := array.NewData(kind, rows, all, nil, nulls, 0)
		defer data.Release()
		return array.MakeFromData(data)
	}
	switch field.Type {
	case modrun.TypeBool:
		return made(arrow.FixedWidthTypes.Boolean, in.Bool(name))
	case modrun.TypeInt64:
		return made(arrow.PrimitiveTypes.Int64, arrow.Int64Traits.CastToBytes(in.Int64(name)))
	case modrun.TypeFloat64:
		return made(arrow.PrimitiveTypes.Float64, arrow.Float64Traits.CastToBytes(in.Float64(name)))
	case modrun.TypeTimestamp:
		return made(arrow.FixedWidthTypes.Timestamp_us, arrow.Int64Traits.CastToBytes(in.Timestamp(name)))
	case modrun.TypeBinary:
		starts, bytes := in.Binary(name).Buffers()
		return made(arrow.BinaryTypes.Binary, arrow.Int32Traits.CastToBytes(starts), bytes)
	}
	strings := in.String(name)
	starts, bytes := strings.Buffers()
	codes, values, coded := strings.Codes()
	if !coded {
		return made(arrow.BinaryTypes.String, arrow.Int32Traits.CastToBytes(starts), bytes)
	}
	dictionary := array.NewData(arrow.BinaryTypes.String, len(values),
		[]*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(starts)), memory.NewBufferBytes(bytes)}, nil, 0, 0)
	defer dictionary.Release()
	data := array.NewDataWithDictionary(dictionaryType, rows, []*memory.Buffer{valid, memory.NewBufferBytes(codes)}, nulls, 0,
		dictionary)
	defer data.Release()
	return array.MakeFromData(data)
}

// Append adds the columns of a record that the output has to what is emitted.
func Append(out *modrun.Output, record arrow.RecordBatch) error {
	table := out.Table()
	if len(out.Schema()) == 0 {
		table.AddRows(int(record.NumRows()))
	}
	for _, field := range out.Schema() {
		at := record.Schema().FieldIndices(field.Name)
		if len(at) != 1 {
			return fmt.Errorf("the record has %d columns `%s`, not 1: it has %s", len(at), field.Name, record.Schema())
		}
		if err := appendColumn(table, field, record.Column(at[0])); err != nil {
			return err
		}
	}
	return nil
}

// appendColumn appends an array to a column of the output of the same type.
func appendColumn(table *modrun.Table, field modrun.Field, from arrow.Array) error {
	name, whole := field.Name, from.NullN() == 0
	switch from := from.(type) {
	case *array.Boolean:
		if field.Type == modrun.TypeBool {
			to := table.Bool(name)
			each(from, to, func(row int) { to.Append(from.Value(row)) })
			return nil
		}
	case *array.Int64:
		if field.Type == modrun.TypeInt64 {
			if to := table.Int64(name); whole {
				to.AppendAll(from.Int64Values())
			} else {
				each(from, to, func(row int) { to.Append(from.Value(row)) })
			}
			return nil
		}
	case *array.Float64:
		if field.Type == modrun.TypeFloat64 {
			if to := table.Float64(name); whole {
				to.AppendAll(from.Float64Values())
			} else {
				each(from, to, func(row int) { to.Append(from.Value(row)) })
			}
			return nil
		}
	case *array.Timestamp:
		unit, ok := from.DataType().(*arrow.TimestampType)
		if field.Type == modrun.TypeTimestamp && ok && unit.Unit == arrow.Microsecond {
			to := table.Timestamp(name)
			each(from, to, func(row int) { to.Append(int64(from.Value(row))) })
			return nil
		}
	case *array.String:
		if field.Type == modrun.TypeString {
			to := table.String(name)
			each(from, to, func(row int) { to.Append(from.Value(row)) })
			return nil
		}
	case *array.Dictionary:
		values, ok := from.Dictionary().(*array.String)
		if field.Type == modrun.TypeString && ok {
			to := table.String(name)
			each(from, to, func(row int) { to.Append(values.Value(from.GetValueIndex(row))) })
			return nil
		}
	case *array.Binary:
		if field.Type == modrun.TypeBinary {
			to := table.Binary(name)
			each(from, to, func(row int) { to.Append(from.Value(row)) })
			return nil
		}
	}
	return fmt.Errorf("column `%s` of the record is %s, but the output column is %s", name, from.DataType(), field.Type)
}

// each appends the values of an array, and its nulls.
func each(from arrow.Array, to interface{ AppendNull() }, value func(row int)) {
	for row := range from.Len() {
		if from.IsNull(row) {
			to.AppendNull()
		} else {
			value(row)
		}
	}
}
