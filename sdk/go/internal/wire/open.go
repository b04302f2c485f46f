package wire

import "errors"

// ParseTo returns which message of the runtime the frame holds and the fields of it.
func ParseTo(frame Frame) (To, []byte, error) {
	outer := fields{rest: frame.Message}
	var kind To
	var body []byte
	for outer.next() {
		if outer.number < uint64(ToOpen) || outer.number > uint64(ToCommit) {
			continue
		}
		if kind != To(outer.number) {
			kind, body = To(outer.number), nil
		}
		body = outer.message(body)
	}
	if outer.bad || kind == 0 {
		return 0, nil, broken("a message of %d bytes is no `ToStage`", len(frame.Message))
	}
	if len(frame.Payload) > 0 && kind != ToBatch && kind != ToState {
		return 0, nil, broken("a message without payload has %d bytes of payload", len(frame.Payload))
	}
	return kind, body, nil
}

// ParseOpen reads the fields of an Open message.
func ParseOpen(body []byte) (Open, error) {
	f := fields{rest: body}
	var open Open
	var input, output, policy []byte
	for f.next() {
		switch f.number {
		case 1:
			open.Protocol = uint32(f.whole())
		case 2:
			open.Generation = f.whole()
		case 3:
			open.Stage = f.text()
		case 4:
			open.Config = f.text()
		case 5:
			input, open.HasInput = f.message(input), true
		case 6:
			output, open.HasOutput = f.message(output), true
		case 7:
			open.WindowBatches = uint32(f.whole())
		case 8:
			open.WindowBytes = f.whole()
		case 9:
			open.InlineMax = f.whole()
		case 10:
			open.InputSegment = f.whole()
		case 11:
			open.OutputSegment = f.whole()
		case 12:
			policy = f.message(policy)
		case 13:
			open.StateChunks = uint32(f.whole())
		case 14:
			open.Replica = uint32(f.whole())
		case 15:
			open.Replicas = uint32(f.whole())
		case 16:
			open.Unmeasured = f.whole() != 0
		}
	}
	if f.bad {
		return Open{}, broken("an `Open` message of %d bytes cannot be read", len(body))
	}
	var errs [3]error
	open.Input, errs[0] = parseSchema(input)
	open.Output, errs[1] = parseSchema(output)
	open.Policy, errs[2] = parsePolicy(policy)
	return open, errors.Join(errs[:]...)
}

func parsePolicy(body []byte) (policy Policy, err error) {
	f := fields{rest: body}
	for f.next() {
		switch f.number {
		case 1:
			policy.Rows = uint32(f.whole())
		case 2:
			policy.LingerUs = f.whole()
		}
	}
	if f.bad {
		err = broken("a `BatchPolicy` of %d bytes cannot be read", len(body))
	}
	return policy, err
}

func parseSchema(body []byte) (Schema, error) {
	schema := Schema{}
	f := fields{rest: body}
	for f.next() {
		if f.number != 1 {
			continue
		}
		var field Field
		var kind uint64
		inner := fields{rest: f.message(nil)}
		for inner.next() {
			switch inner.number {
			case 1:
				field.Name = inner.text()
			case 2:
				kind = inner.whole()
			case 3:
				field.Nullable = inner.whole() != 0
			}
		}
		if inner.bad || kind == 0 || kind > uint64(Timestamp) {
			return nil, broken("column `%s` of a schema, of the type %d, cannot be read", field.Name, kind)
		}
		field.Type = Type(kind)
		schema = append(schema, field)
	}
	if f.bad {
		return nil, broken("a `Schema` of %d bytes cannot be read", len(body))
	}
	return schema, nil
}

// ParseNumber reads the first field of a message, a number: the index of a State, the epoch of a Barrier.
func ParseNumber(body []byte) (uint64, error) {
	f := fields{rest: body}
	var number uint64
	for f.next() {
		if f.number == 1 {
			number = f.whole()
		}
	}
	if f.bad {
		return 0, broken("a message of %d bytes cannot be read", len(body))
	}
	return number, nil
}
