package modrun

import (
	"encoding/base64"
	"math"
	"strconv"
	"time"

	"modularruntime/modrun/internal/wire"
)

// Events as JSON, one object a line: members in the order of the columns, numbers as ECMAScript prints them, timestamps
// as ISO 8601 with `Z`, binary as base64; null where there is no value, NaN or an infinity.

// AppendJSONLine appends a row of a batch as one line of JSON.
func AppendJSONLine(to []byte, b *Batch, row int) []byte {
	for at := range b.schema {
		if at == 0 {
			to = append(to, '{')
		} else {
			to = append(to, ',')
		}
		to = append(appendJSONString(to, []byte(b.schema[at].Name)), ':')
		to = appendJSONValue(to, &b.table.Columns[at], row)
	}
	if len(b.schema) == 0 {
		to = append(to, '{')
	}
	return append(to, '}', '\n')
}

func appendJSONLines(to []byte, b *Batch) []byte {
	for row := range b.Rows() {
		to = AppendJSONLine(to, b, row)
	}
	return to
}

func appendJSONValue(to []byte, column *wire.Column, row int) []byte {
	if column.IsNull(row) {
		return append(to, "null"...)
	}
	switch column.Type {
	case wire.Bool:
		return strconv.AppendBool(to, wire.Bit(column.Bits(), row))
	case wire.Int64:
		return strconv.AppendInt(to, column.Int64s()[row], 10)
	case wire.Float64:
		return appendJSONNumber(to, column.Float64s()[row])
	case wire.String:
		return appendJSONString(to, column.Text(row))
	case wire.Binary:
		to = base64.StdEncoding.AppendEncode(append(to, '"'), column.Entry(row))
		return append(to, '"')
	default:
		to = appendTimestamp(append(to, '"'), column.Int64s()[row])
		return append(to, '"')
	}
}

// appendJSONNumber appends a number as ECMAScript's Number::toString does.
func appendJSONNumber(to []byte, value float64) []byte {
	switch size := math.Abs(value); {
	case math.IsNaN(value) || math.IsInf(value, 0):
		return append(to, "null"...)
	case value == 0:
		return append(to, '0')
	case size < 1e-6 || size >= 1e21:
		start := len(to)
		to = strconv.AppendFloat(to, value, 'e', -1, 64)
		// Go writes at least two digits of the exponent, ECMAScript no zero before the first.
		if n := len(to); n-start >= 4 && to[n-2] == '0' && (to[n-3] == '-' || to[n-3] == '+') {
			to[n-2] = to[n-1]
			to = to[:n-1]
		}
		return to
	default:
		return strconv.AppendFloat(to, value, 'f', -1, 64)
	}
}

// appendJSONString appends UTF-8 as a string, with no more escapes than JSON asks for.
func appendJSONString(to, text []byte) []byte {
	const hex = "0123456789abcdef"
	to = append(to, '"')
	plain := 0
	for at, c := range text {
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		to = append(to, text[plain:at]...)
		plain = at + 1
		switch c {
		case '"', '\\':
			to = append(to, '\\', c)
		case '\b':
			to = append(to, '\\', 'b')
		case '\f':
			to = append(to, '\\', 'f')
		case '\n':
			to = append(to, '\\', 'n')
		case '\r':
			to = append(to, '\\', 'r')
		case '\t':
			to = append(to, '\\', 't')
		default:
			to = append(to, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(to, text[plain:]...), '"')
}

// appendTimestamp appends microseconds since 1970 as `2026-01-01T00:00:00.785Z`, with as few decimal places as it takes;
// a year that has not four digits as ECMAScript does, with a sign and six.
func appendTimestamp(to []byte, micros int64) []byte {
	t := time.UnixMicro(micros).UTC()
	if year := t.Year(); year < 0 || year > 9999 {
		sign := byte('+')
		if year < 0 {
			sign, year = '-', -year
		}
		to = append(to, sign)
		for digits := 100_000; digits > 0; digits /= 10 {
			to = append(to, byte('0'+year/digits%10))
		}
		return t.AppendFormat(to, "-01-02T15:04:05.999999Z")
	}
	return t.AppendFormat(to, "2006-01-02T15:04:05.999999Z")
}
