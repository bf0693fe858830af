package probe

import (
	"bytes"
	"encoding/binary"
)

// assembleCall writes MOV of each register, with 64 bits, and SYSCALL.
func assembleCall(code *bytes.Buffer, number uint64, args []uint64) {
	registers := [][2]byte{{0x48, 0xbf}, {0x48, 0xbe}, {0x48, 0xba}, {0x49, 0xba}, {0x49, 0xb8}, {0x49, 0xb9}} // rdi rsi rdx r10 r8 r9
	for i, a := range args {
		code.Write(registers[i][:])
		code.Write(binary.LittleEndian.AppendUint64(nil, a))
	}
	code.Write([]byte{0x48, 0xb8}) // rax
	code.Write(binary.LittleEndian.AppendUint64(nil, number))
	code.Write([]byte{0x0f, 0x05})
}

// assembleExit writes exit(2) of the last call's error, or of 0.
func assembleExit(code *bytes.Buffer, called bool) {
	if called {
		// A result that is no error becomes 0: TEST RAX,RAX; JS +2; XOR EAX,EAX.
		code.Write([]byte{0x48, 0x85, 0xc0, 0x78, 0x02, 0x31, 0xc0})
		code.Write([]byte{0x89, 0xc7, 0xf7, 0xdf}) // MOV EDI,EAX; NEG EDI
	} else {
		code.Write([]byte{0x31, 0xff}) // XOR EDI,EDI
	}
	code.Write([]byte{0xb8, 60, 0, 0, 0, 0x0f, 0x05})
}
