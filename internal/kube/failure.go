package kube

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"seawall.io/seawall"
)

// errStale is discovery's word for an APIService that does not answer.
var errStale = errors.New("the server behind this APIService does not answer: `kubectl get apiservices` says why")

// errSilent stands for a request that was not sent.
var errSilent = errors.New("not tried: the server has stopped answering")

// malformedError is an answer that is not what the API promises.
type malformedError struct{ err error }

func (e *malformedError) Error() string { return e.err.Error() }
func (e *malformedError) Unwrap() error { return e.err }

func malformed(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return &malformedError{err}
}

// reason makes an Incomplete of a sentence.
func reason(format string, args ...any) seawall.Incomplete {
	return seawall.Incomplete{Reason: fmt.Sprintf(format, args...)}
}

// describe says in one line what kind of failure err is, and the details: the
// second half of a reason such as "list pods: forbidden: ...".
func describe(err error) string {
	var status apierrors.APIStatus
	var bad *malformedError
	switch {
	case errors.As(err, &status):
		return describeStatus(status)
	case errors.Is(err, context.DeadlineExceeded):
		return "timed out"
	case errors.As(err, &bad):
		return "malformed answer: " + oneLine(bad.Error())
	}
	return oneLine(err.Error())
}

func describeStatus(e apierrors.APIStatus) string {
	s := e.Status()
	message := oneLine(s.Message)
	switch s.Code {
	case http.StatusUnauthorized:
		return "unauthorized: " + message
	case http.StatusForbidden:
		// The message begins with the name of the resource, which is known here.
		if _, why, ok := strings.Cut(message, " is forbidden: "); ok {
			message = why
		}
		return "forbidden: " + message
	case http.StatusNotFound:
		return "not found: " + message
	case http.StatusGone:
		return "expired: " + message
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return "timed out: " + message
	case http.StatusTooManyRequests:
		return "too many requests: " + message
	}
	return message
}

// maxMessage bounds, in bytes, what is repeated of a server's message.
const maxMessage = 300

func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + "..."
	}
	return text
}

func isForbidden(err error) bool { return err != nil && apierrors.IsForbidden(err) }

// isRefusal says that the server is there and knows the account, but does not
// answer this request.
func isRefusal(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && !apierrors.IsUnauthorized(err)
}

// isBroken says that the connection to the server could not be made or broke.
func isBroken(err error) bool {
	var netErr net.Error
	var opErr *net.OpError
	return errors.As(err, &netErr) || errors.As(err, &opErr) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
}

// isSilent says that the server gave no answer at all.
func isSilent(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || isBroken(err)
}

// unreadable explains why nothing of the cluster can be read, and what to do.
func (c *Client) unreadable(err error) error {
	return fmt.Errorf("reading cluster %s at %s: %w: %s", c.name, c.host, shortened{err}, c.remedy(err))
}

// shortened is an error whose text is described in one line.
type shortened struct{ err error }

func (s shortened) Error() string { return describe(s.err) }
func (s shortened) Unwrap() error { return s.err }

func (c *Client) remedy(err error) string {
	var (
		unknownCA x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		verify    *tls.CertificateVerificationError
		record    tls.RecordHeaderError
		dns       *net.DNSError
		bad       *malformedError
		try       = c.tryKubectl()
	)
	switch {
	case apierrors.IsUnauthorized(err):
		return "the credentials were refused, a token or certificate may have expired: sign in again, and check with " + try
	case apierrors.IsForbidden(err):
		return "the account may not read anything: bind it to a role that may list, such as the ClusterRole view, and check with `kubectl auth can-i --list`"
	case errors.As(err, &unknownCA):
		return "the kubeconfig has another certificate authority than the server: get a fresh kubeconfig for this cluster, or correct certificate-authority-data"
	case errors.As(err, &host):
		return "the server's certificate is for another name: correct the server address, or set tls-server-name, in the kubeconfig"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "a certificate has expired, or this machine's clock is wrong: renew the server's certificate, or set the clock"
	case errors.As(err, &verify), errors.As(err, &invalid):
		return "the server's certificate cannot be trusted: get a fresh kubeconfig for this cluster"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "the server does not speak TLS there: correct the server address in the kubeconfig"
	case errors.As(err, &dns):
		return "the server's name is not known: connect to its network (VPN), or correct the server address in the kubeconfig"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: start the cluster, or choose another with --context"
	case errors.Is(err, context.DeadlineExceeded):
		return "the server does not answer: connect to its network (VPN), and check with " + try
	case strings.Contains(err.Error(), "exec plugin") || strings.Contains(err.Error(), "getting credentials"):
		return "the program that the kubeconfig names for signing in did not deliver: check with " + try
	case errors.As(err, &bad), apierrors.IsNotFound(err):
		return "this is no Kubernetes API server: correct the server address in the kubeconfig"
	}
	return "check with " + try
}

func (c *Client) tryKubectl() string {
	if c.context == "" { // in a pod
		return "`kubectl get namespaces`"
	}
	return "`kubectl --context " + c.context + " get namespaces`"
}
