package modrun

import "modularruntime/modrun/internal/wire"

// Type is the type of a column.
type Type = wire.Type

// The types of columns.
const (
	TypeBool      = wire.Bool
	TypeInt64     = wire.Int64
	TypeFloat64   = wire.Float64
	TypeString    = wire.String
	TypeBinary    = wire.Binary
	TypeTimestamp = wire.Timestamp // microseconds since 1970 in UTC
)

// Field is one column of a schema: its name, its type and whether it may be null.
type Field = wire.Field

// Schema is the columns of a link, in order.
type Schema = wire.Schema

// Columns reads columns written as `key string?, count int64`; a question mark allows null.
func Columns(text string) (Schema, error) { return wire.ParseSchema(text) }
