package secret

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"hash/crc32"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// crc62 proves tokens of 30 random signs behind a prefix with an underscore,
// whose last six signs are the CRC-32 of those in base 62. Longer ones, which
// exist, say nothing.
func crc62(token []byte) proof {
	_, body, _ := bytes.Cut(token, []byte("_"))
	if len(body) != 36 {
		return silent
	}
	var sum [6]byte
	n := crc32.ChecksumIEEE(body[:30])
	for i := len(sum) - 1; i >= 0; i-- {
		sum[i] = base62[n%62]
		n /= 62
	}
	return provenIf(string(sum[:]) == string(body[30:]))
}

func provenIf(holds bool) proof {
	if holds {
		return proven
	}
	return refuted
}

// gitlabRoutable proves the longer tokens of GitLab: behind a dot stand the
// length of the payload, two signs in base 36, and the CRC-32 of all before,
// seven.
func gitlabRoutable(token []byte) proof {
	dot := bytes.LastIndexByte(token, '.')
	if dot < 0 || len(token)-dot != 10 {
		return silent
	}
	sum := strconv.FormatUint(uint64(crc32.ChecksumIEEE(token[:dot+3])), 36)
	return provenIf(string(token[dot+3:]) == strings.Repeat("0", 7-len(sum))+sum)
}

// grafanaSum proves glsa_<secret>_<CRC-32 of the secret>, in either order of
// bytes.
func grafanaSum(token []byte) proof {
	secret, sum := token[5:37], token[38:]
	n := crc32.ChecksumIEEE(secret)
	for _, order := range [...]binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		if string(sum) == hex.EncodeToString(order.AppendUint32(nil, n)) {
			return proven
		}
	}
	return silent
}

// awsAccount refuses identifiers that name no account: 12 decimal digits. Those
// made before 2019 name none, and begin with I or J.
func awsAccount(id []byte) proof {
	if id[4] == 'I' || id[4] == 'J' {
		return silent
	}
	var n uint64
	for _, c := range id[4:14] {
		v := c - 'A'
		if c >= '2' && c <= '7' {
			v = c - '2' + 26
		}
		n = n<<5 | uint64(v)
	}
	// 50 bits: a version of one, the account in 40, the rest is random.
	if account := n >> 9 & (1<<40 - 1); account >= 1_000_000_000_000 {
		return refuted
	}
	return silent
}

// decodesTo demands standard base64 of n bytes.
func decodesTo(n int) func([]byte) proof {
	return func(text []byte) proof {
		raw, ok := decode64(text)
		if !ok || len(raw) != n {
			return absent
		}
		return silent
	}
}

// decode64 reads base64 of either alphabet, padded or not.
func decode64(text []byte) ([]byte, bool) {
	text = bytes.TrimRight(text, "=")
	enc := base64.RawStdEncoding
	if bytes.ContainsAny(text, "-_") {
		enc = base64.RawURLEncoding
	}
	out := make([]byte, enc.DecodedLen(len(text)))
	n, err := enc.Decode(out, text)
	return out[:n], err == nil
}

// pypiMacaroon proves tokens of pypi.org and test.pypi.org: a macaroon of
// version 2 with the location first.
func pypiMacaroon(token []byte) proof {
	text := bytes.TrimPrefix(token, []byte("pypi-"))
	raw, ok := decode64(text[:len(text)/4*4])
	if !ok || len(raw) < 4 || raw[0] != 2 || raw[1] != 1 || int(raw[2]) > len(raw)-3 {
		return silent
	}
	if location := string(raw[3 : 3+int(raw[2])]); strings.HasSuffix(location, "pypi.org") {
		return proven
	}
	return silent
}

// basicAuth demands a user and a password in base64.
func basicAuth(text []byte) proof {
	raw, ok := decode64(text)
	if !ok || !utf8.Valid(raw) {
		return absent
	}
	user, password, found := strings.Cut(string(raw), ":")
	switch {
	case !found || user == "" || password == "" || strings.ContainsAny(string(raw), " \n\x00"):
		return absent
	case isPlaceholder(password) || isUserWord(user, password):
		return refuted
	}
	return silent
}

func randomLooking(text []byte) proof {
	if !looksRandom(string(text)) {
		return absent
	}
	return silent
}

// base64PEM demands a private key in base64, as kubeconfigs hold it.
func base64PEM(text []byte) proof {
	raw, ok := decode64(text[:len(text)/4*4])
	if !ok || !bytes.Contains(raw, []byte("PRIVATE KEY")) {
		return absent
	}
	if block, _ := pem.Decode(raw); block != nil {
		return keyProof(block.Bytes)
	}
	return silent
}

func base64JSON(text []byte) proof {
	raw, ok := decode64(text)
	return provenIf(ok && json.Valid(raw))
}

func glcJSON(token []byte) proof { return base64JSON(bytes.TrimPrefix(token, []byte("glc_"))) }

func opsJSON(token []byte) proof { return base64JSON(bytes.TrimPrefix(token, []byte("ops_"))) }

func sntrysJSON(token []byte) proof {
	token = bytes.TrimPrefix(token, []byte("sntrys_"))
	return base64JSON(token[:bytes.IndexByte(token, '_')])
}

const bech32Signs = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

// bech32Sum proves Bech32 (BIP 173), in capitals or not.
func bech32Sum(text []byte) proof {
	text = bytes.ToLower(text)
	one := bytes.LastIndexByte(text, '1')
	sum := uint32(1)
	add := func(v byte) {
		top := sum >> 25
		sum = sum&0x1ffffff<<5 ^ uint32(v)
		for i, g := range [...]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>i&1 == 1 {
				sum ^= g
			}
		}
	}
	for _, c := range text[:one] {
		add(c >> 5)
	}
	add(0)
	for _, c := range text[:one] {
		add(c & 31)
	}
	for _, c := range text[one+1:] {
		v := strings.IndexByte(bech32Signs, c)
		if v < 0 {
			return refuted
		}
		add(byte(v)) //nolint:gosec // less than 32
	}
	return provenIf(sum == 1)
}

const base58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// base58Sum proves Base58Check: the last four bytes begin the double SHA-256 of
// those before. The form has checked the signs.
func base58Sum(text []byte) proof {
	n, radix := new(big.Int), big.NewInt(58)
	for _, c := range text {
		n.Mul(n, radix).Add(n, big.NewInt(int64(strings.IndexByte(base58, c))))
	}
	raw := n.Bytes()
	if len(raw) < 5 {
		return refuted
	}
	sum := sha256.Sum256(raw[:len(raw)-4])
	sum = sha256.Sum256(sum[:])
	return provenIf(bytes.Equal(sum[:4], raw[len(raw)-4:]))
}
