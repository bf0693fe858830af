package probe

import (
	"bytes"
	"encoding/binary"
)

func instruction(code *bytes.Buffer, words ...uint32) {
	for _, w := range words {
		code.Write(binary.LittleEndian.AppendUint32(nil, w))
	}
}

// move writes MOVZ and MOVK: sixteen bits of a register at a time.
func move(code *bytes.Buffer, register uint32, value uint64) {
	for i := range uint32(4) {
		op := uint32(0xf2800000)
		if i == 0 {
			op = 0xd2800000
		}
		instruction(code, op|i<<21|uint32(value>>(16*i)&0xffff)<<5|register)
	}
}

const supervisorCall = 0xd4000001

// assembleCall writes moves to X0 and on, the number to X8, and SVC 0.
func assembleCall(code *bytes.Buffer, number uint64, args []uint64) {
	for i, a := range args {
		move(code, uint32(i), a) //nolint:gosec // at most six
	}
	move(code, 8, number)
	instruction(code, supervisorCall)
}

// assembleExit writes exit(2) of the last call's error, or of 0.
func assembleExit(code *bytes.Buffer, called bool) {
	if called {
		// CMP X0,#0; CSEL X0,X0,XZR,LT: a result that is no error becomes 0; NEG W0,W0.
		instruction(code, 0xf100001f, 0x9a9fb000, 0x4b0003e0)
	} else {
		move(code, 0, 0)
	}
	move(code, 8, 93)
	instruction(code, supervisorCall)
}
