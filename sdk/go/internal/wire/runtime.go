package wire

import "errors"

// The runtime's side of the messages, for tests that stand in for it.

// Encode returns the message's bytes.
func (o Open) Encode() []byte {
	body := appendNumber(nil, 1, uint64(o.Protocol))
	body = appendNumber(body, 2, o.Generation)
	body = appendText(body, 3, o.Stage)
	body = appendText(body, 4, o.Config)
	if o.HasInput {
		body = appendSchema(body, 5, o.Input)
	}
	if o.HasOutput {
		body = appendSchema(body, 6, o.Output)
	}
	body = appendNumber(body, 7, uint64(o.WindowBatches))
	body = appendNumber(body, 8, o.WindowBytes)
	body = appendNumber(body, 9, o.InlineMax)
	body = appendNumber(body, 10, o.InputSegment)
	body = appendNumber(body, 11, o.OutputSegment)
	policy := appendNumber(appendNumber(nil, 1, uint64(o.Policy.Rows)), 2, o.Policy.LingerUs)
	body = appendMessage(body, 12, policy)
	body = appendNumber(body, 13, uint64(o.StateChunks))
	body = appendNumber(body, 14, uint64(o.Replica))
	body = appendNumber(body, 15, uint64(o.Replicas))
	if o.Unmeasured {
		body = appendNumber(body, 16, 1)
	}
	return appendMessage(nil, int(ToOpen), body)
}

// EncodeTo returns the bytes of a message of the runtime whose first field, if it is not 0, is a number.
func EncodeTo(kind To, number uint64) []byte {
	return appendMessage(nil, int(kind), appendNumber(nil, 1, number))
}

// ParseFrom returns which message of a stage the frame holds and the fields of it.
func ParseFrom(frame Frame) (From, []byte, error) {
	outer := fields{rest: frame.Message}
	if !outer.next() || outer.number < uint64(FromReady) || outer.number > uint64(FromCommitted) {
		return 0, nil, broken("a message of %d bytes is no `FromStage`", len(frame.Message))
	}
	return From(outer.number), outer.bytes, nil
}

// ParseReady reads the fields of a Ready message.
func ParseReady(body []byte) (ready Ready, err error) {
	f := fields{rest: body}
	for f.next() {
		switch f.number {
		case 2:
			ready.SDK = f.text()
		case 3:
			ready.Role = Role(f.whole())
		case 4:
			ready.Concurrency = Concurrency(f.whole())
		case 5:
			ready.Output, err = parseSchema(f.bytes)
			ready.HasOutput = true
		}
	}
	return ready, errors.Join(err, f.end("Ready"))
}

// ParseFailed reads the fields of a Failed message.
func ParseFailed(body []byte) (failed Failed, err error) {
	f := fields{rest: body}
	for f.next() {
		switch f.number {
		case 1:
			failed.Kind = Kind(f.whole())
		case 2:
			failed.Code = f.text()
		case 3:
			failed.Message = f.text()
		case 4:
			failed.Detail = f.text()
		case 5:
			failed.Input = f.value
		case 6:
			packed := fields{rest: f.bytes}
			for len(packed.rest) > 0 && !packed.bad {
				failed.Rows = append(failed.Rows, uint32(packed.varint()))
			}
		case 7:
			failed.TextOffset = f.whole()
		case 8:
			failed.TextLength = f.whole()
		}
	}
	return failed, f.end("Failed")
}

// ParseActivity reads the fields of an Activity message.
func ParseActivity(body []byte) (activity Activity, err error) {
	f := fields{rest: body}
	for f.next() {
		switch number := int(f.number); {
		case number >= 1 && number <= len(activity.Spent):
			activity.Spent[number-1] = f.whole()
		case number == 8:
			activity.CPU = f.whole()
		}
	}
	return activity, f.end("Activity")
}

// ParseDone reads the fields of a Done message.
func ParseDone(body []byte) (done Done, err error) {
	f := fields{rest: body}
	for f.next() {
		switch f.number {
		case 1:
			done.Artifact = f.text()
		case 2:
			done.Rows = f.whole()
		}
	}
	return done, f.end("Done")
}

func (f *fields) end(message string) error {
	if f.bad {
		return broken("a `%s` message cannot be read", message)
	}
	return nil
}
