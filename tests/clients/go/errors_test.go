package clients

// What each official client's user sees when a call is refused: the documented code and status, unchanged.

import (
	"errors"
	"strings"
	"testing"
)

const oneMore = `[{"regionCode":"cn-shanghai-cmcc","count":1}]`

func TestARefusalReachesTheUserWithItsDocumentedCode(t *testing.T) {
	table := map[string]struct {
		given  parameters
		wanted string
	}{
		"a misspelt type":             {parameters{"RescaleType": "add"}, "InvalidParameter.RescaleType"},
		"no selector":                 {parameters{"ResourceSelector": ""}, "MissingParameter"},
		"a selector that is no JSON":  {parameters{"ResourceSelector": "[{"}, "InvalidParameter.ResourceSelector"},
		"an unknown level":            {parameters{"RescaleLevel": "Planet"}, "InvalidParameter.RescaleLevel"},
		"an unknown version":          {parameters{"ToAppVersion": "v9"}, "InvalidParameter.ToAppVersion"},
		"no time at all":              {parameters{"Timeout": "0"}, "InvalidParameter.Timeout"},
		"an unknown edge node":        {parameters{"ResourceSelector": strings.Replace(oneMore, "cmcc", "cmc", 1)}, "InvalidParameter"},
		"more than fits":              {parameters{"ResourceSelector": strings.Replace(oneMore, "1", "13", 1)}, "InvalidParameter"},
		"releasing what is not there": {parameters{"RescaleType": "Del"}, "InvalidParameter"},
		"an unknown application":      {parameters{"AppId": "00000000-0000-4000-8000-000000000000"}, "ens.interface.error"},
	}
	each(t, func(t *testing.T, c client) {
		id := application(t, c)
		for what, row := range table {
			given := parameters{"AppId": id, "RescaleType": "Add", "RescaleLevel": "RegionId", "ResourceSelector": oneMore}
			for name, value := range row.given {
				given[name] = value
			}

			_, err := c.call("RescaleApplication", given)

			var known *refused
			if !errors.As(err, &known) {
				t.Errorf("%s: no refusal but %v", what, err)
			} else if known.code != row.wanted || known.status != 400 {
				t.Errorf("%s: %v, not %s", what, known, row.wanted)
			}
		}
	})
}

func TestAWrongSecretIsToldAsSuch(t *testing.T) {
	for name, make := range clients {
		t.Run(name, func(t *testing.T) {
			c, err := make(shared.endpoint, "NotTheSecretOfThisKey000000000")
			if err != nil {
				t.Fatal(err)
			}

			// With characters that are encoded twice on the way into what is signed.
			_, err = c.call("ListApplications", parameters{"ClusterNames": "a b+*~/上海"})

			var known *refused
			if !errors.As(err, &known) {
				t.Fatalf("no refusal but %v", err)
			}
			same(t, "code", known.code, "SignatureDoesNotMatch")
			// The classic core compares our string to sign with its own, byte for byte, and says so.
			if !strings.HasPrefix(name, "openapi") {
				same(t, "advice", known.recommend, "InvalidAccessKeySecret: Please check you AccessKeySecret")
			}
		})
	}
}

func TestAnActionThatIsNotKnownIsNotFound(t *testing.T) {
	each(t, func(t *testing.T, c client) {
		_, err := c.call("DescribeNothing", parameters{})

		same(t, "code", code(err), "InvalidAction.NotFound")
	})
}
