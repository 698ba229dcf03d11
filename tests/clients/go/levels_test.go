package clients

// RescaleApplication on its three levels, by each official client.

import (
	"fmt"
	"sort"
	"testing"
)

func TestAnAreaAndACarrierSayHowManyAndGiveThemBack(t *testing.T) {
	each(t, func(t *testing.T, c client) {
		id := application(t, c)
		// Not the default of the parameter, but said.
		rescale := func(rescaleType, selector string) {
			must(t, c, "RescaleApplication", parameters{
				"AppId": id, "RescaleType": rescaleType, "RescaleLevel": "AreaIspCode", "ResourceSelector": selector,
			})
		}

		rescale("Add", `[{"regionCode":"310100","ispCode":"cmcc","count":3},{"regionCode":"320000","count":2}]`)
		same(t, "instances after Add", len(resources(running(t, c, id))), 5)

		rescale("Del", `[{"regionCode":"310100","ispCode":"cmcc","count":2}]`)
		same(t, "instances after Del", len(resources(running(t, c, id))), 3)
	})
}

func TestAnEdgeNodeGetsAndGivesItsOwn(t *testing.T) {
	each(t, func(t *testing.T, c client) {
		id := application(t, c)
		rescale := func(rescaleType string, count int) {
			must(t, c, "RescaleApplication", parameters{
				"AppId": id, "RescaleType": rescaleType, "RescaleLevel": "RegionId",
				"ResourceSelector": fmt.Sprintf(`[{"regionCode":"cn-wuxi-telecom_unicom_cmcc-3","count":%d}]`, count),
			})
		}

		rescale("Add", 2)
		same(t, "after Add", nodes(t, running(t, c, id)), map[string]int{"cn-wuxi-telecom_unicom_cmcc-3": 2})
		rescale("Del", 1)
		same(t, "after Del", nodes(t, running(t, c, id)), map[string]int{"cn-wuxi-telecom_unicom_cmcc-3": 1})
	})
}

func TestAnInstanceIsTakenHostedGivenBackAndReleased(t *testing.T) {
	each(t, func(t *testing.T, c client) {
		id := application(t, c)
		ran := must(t, c, "RunInstances", parameters{
			"InstanceType": "ens.sn1.tiny", "ScheduleAreaLevel": "Region", "EnsRegionId": "cn-shanghai-cmcc", "Amount": "2",
		})
		var taken []string
		for _, instance := range ran["InstanceIds"].([]any) {
			taken = append(taken, instance.(string))
		}
		sort.Strings(taken)
		byName := func(rescaleType string, instances ...string) []string {
			must(t, c, "RescaleApplication", parameters{
				"AppId": id, "RescaleType": rescaleType, "RescaleLevel": "InstanceId",
				"ResourceSelector": encoded([]any{map[string]any{"instanceIds": instances}}),
			})
			return column(t, resources(running(t, c, id)), "InstanceId")
		}

		same(t, "hosted", byName("Add", taken...), taken)
		_, err := c.call("ReleaseInstance", parameters{"InstanceId": taken[0]})
		same(t, "releasing one that is hosted", code(err), "InvalidParameter")
		same(t, "exactly the named one goes", byName("Del", taken[0]), taken[1:])
		same(t, "none is left", byName("Del", taken[1]), []string{})
		for _, instance := range taken {
			must(t, c, "ReleaseInstance", parameters{"InstanceId": instance})
		}
	})
}
