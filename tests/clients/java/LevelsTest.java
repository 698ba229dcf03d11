package clients;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.google.gson.JsonElement;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** RescaleApplication on its three levels, by each official client. */
class LevelsTest extends WithServer {
    @ParameterizedTest
    @MethodSource("clients")
    void anAreaAndACarrierSayHowManyAndGiveThemBack(Client client) throws Exception {
        String id = application(client);

        String five =
                "[{\"regionCode\":\"310100\",\"ispCode\":\"cmcc\",\"count\":3},{\"regionCode\":\"320000\",\"count\":2}]";
        rescale(client, id, "Add", "AreaIspCode", five);
        assertEquals(5, resources(running(client, id)).size());

        rescale(client, id, "Del", "AreaIspCode", "[{\"regionCode\":\"310100\",\"ispCode\":\"cmcc\",\"count\":2}]");
        assertEquals(3, resources(running(client, id)).size());
    }

    @ParameterizedTest
    @MethodSource("clients")
    void anEdgeNodeGetsAndGivesItsOwn(Client client) throws Exception {
        String id = application(client);

        rescale(client, id, "Add", "RegionId", "[{\"regionCode\":\"cn-wuxi-telecom_unicom_cmcc-3\",\"count\":2}]");
        assertEquals(Map.of("cn-wuxi-telecom_unicom_cmcc-3", 2), nodes(running(client, id)));
        rescale(client, id, "Del", "RegionId", "[{\"regionCode\":\"cn-wuxi-telecom_unicom_cmcc-3\",\"count\":1}]");
        assertEquals(Map.of("cn-wuxi-telecom_unicom_cmcc-3", 1), nodes(running(client, id)));
    }

    @ParameterizedTest
    @MethodSource("clients")
    void anInstanceIsTakenHostedGivenBackAndReleased(Client client) throws Exception {
        String id = application(client);
        List<String> taken = new ArrayList<>();
        Map<String, String> two =
                Map.of(
                        "InstanceType", "ens.sn1.tiny",
                        "ScheduleAreaLevel", "Region",
                        "EnsRegionId", "cn-shanghai-cmcc",
                        "Amount", "2");
        for (JsonElement instance : client.call("RunInstances", two).getAsJsonArray("InstanceIds")) {
            taken.add(instance.getAsString());
        }
        Collections.sort(taken);

        rescale(client, id, "Add", "InstanceId", named(taken));
        assertEquals(taken, column(resources(running(client, id)), "InstanceId"));
        Client.Refused early =
                assertThrows(
                        Client.Refused.class,
                        () -> client.call("ReleaseInstance", Map.of("InstanceId", taken.get(0))));
        assertEquals("InvalidParameter", early.code);

        rescale(client, id, "Del", "InstanceId", named(taken.subList(0, 1)));
        assertEquals(taken.subList(1, 2), column(resources(running(client, id)), "InstanceId"));
        rescale(client, id, "Del", "InstanceId", named(taken.subList(1, 2)));
        assertEquals(List.of(), resources(running(client, id)));
        for (String instance : taken) {
            client.call("ReleaseInstance", Map.of("InstanceId", instance));
        }
    }

    private static String named(List<String> instances) {
        return "[{\"instanceIds\":[\"" + String.join("\",\"", instances) + "\"]}]";
    }
}
