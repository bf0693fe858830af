package agent

import (
	"encoding/json"
	"testing"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/check"
)

// What the agent's own queues lose is an event like what the kernel loses, told once.
func TestOwnLossesAreTold(t *testing.T) {
	r := start(t, func(o *Options) {
		o.Rules = []*check.Rule{rule(t, "id: test\nseverity: high\nmatch: [loss, exec]\ndeny: loss.class == 'agent' || process.exe == '/evil'\nmessage: '{loss.count} lost'\n")}
	})
	r.ownLost.Add(7)
	var alert seawall.Alert
	if err := json.Unmarshal(r.entries(t, "alert", 1)[0].Value, &alert); err != nil {
		t.Fatal(err)
	}
	if alert.Message != "7 lost" || alert.Event.Loss.Class != "agent" || alert.Event.Time.IsZero() {
		t.Errorf("%+v %+v", alert, alert.Event)
	}
}
