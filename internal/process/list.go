package process

// list is a doubly linked list through entries, which are in several at once: that
// of their group, that of those that expire, and that of those that settle.
type list struct {
	first, last *entry
	n           int
}

type link struct{ next, prev *entry }

func groupLink(e *entry) *link  { return &e.inList }
func expiryLink(e *entry) *link { return &e.expiry }
func settleLink(e *entry) *link { return &e.settle }

func (l *list) append(e *entry, of func(*entry) *link) {
	at := of(e)
	at.prev, at.next = l.last, nil
	if l.last != nil {
		of(l.last).next = e
	} else {
		l.first = e
	}
	l.last = e
	l.n++
}

func (l *list) remove(e *entry, of func(*entry) *link) {
	at := of(e)
	if at.prev != nil {
		of(at.prev).next = at.next
	} else {
		l.first = at.next
	}
	if at.next != nil {
		of(at.next).prev = at.prev
	} else {
		l.last = at.prev
	}
	*at = link{}
	l.n--
}
