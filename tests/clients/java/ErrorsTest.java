package clients;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What each official client's user sees when a call is refused: the documented code and status, unchanged. */
class ErrorsTest extends WithServer {
    private static final String ONE_MORE = "[{\"regionCode\":\"cn-shanghai-cmcc\",\"count\":1}]";

    /** What is wrong, the parameter that makes it so, its value or that it is left out, and the code. */
    private static final String[][] REFUSED = {
        {"a misspelt type", "RescaleType", "add", "InvalidParameter.RescaleType"},
        {"no selector", "ResourceSelector", null, "MissingParameter"},
        {"a selector that is no JSON", "ResourceSelector", "[{", "InvalidParameter.ResourceSelector"},
        {"an unknown level", "RescaleLevel", "Planet", "InvalidParameter.RescaleLevel"},
        {"an unknown version", "ToAppVersion", "v9", "InvalidParameter.ToAppVersion"},
        {"no time at all", "Timeout", "0", "InvalidParameter.Timeout"},
        {"an unknown edge node", "ResourceSelector", ONE_MORE.replace("cmcc", "cmc"), "InvalidParameter"},
        {"more than fits", "ResourceSelector", ONE_MORE.replace("1", "13"), "InvalidParameter"},
        {"releasing what is not there", "RescaleType", "Del", "InvalidParameter"},
        {"an unknown application", "AppId", "00000000-0000-4000-8000-000000000000", "ens.interface.error"},
    };

    @ParameterizedTest
    @MethodSource("clients")
    void aRefusalReachesTheUserWithItsDocumentedCode(Client client) throws Exception {
        String id = application(client);
        for (String[] row : REFUSED) {
            Map<String, String> given =
                    new HashMap<>(
                            Map.of(
                                    "AppId", id,
                                    "RescaleType", "Add",
                                    "RescaleLevel", "RegionId",
                                    "ResourceSelector", ONE_MORE));
            given.compute(row[1], (name, value) -> row[2]);

            Client.Refused refused =
                    assertThrows(Client.Refused.class, () -> client.call("RescaleApplication", given), row[0]);

            assertEquals(row[3], refused.code, row[0]);
            if (refused.status != null) {
                assertEquals(400, refused.status, row[0]);
            }
        }
    }

    @Test
    void aWrongSecretIsToldAsSuch() throws Exception {
        for (var client : Client.all(server.endpoint, "NotTheSecretOfThisKey000000000").entrySet()) {
            // With characters that are encoded twice on the way into what is signed.
            Map<String, String> awkward = Map.of("ClusterNames", "a b+*~/上海");

            Client.Refused refused =
                    assertThrows(Client.Refused.class, () -> client.getValue().call("ListApplications", awkward));

            // The classic core compares our string to sign with its own, byte for byte, and says so.
            boolean classic = client.getValue() instanceof Client.Classic;
            assertEquals(classic ? "SDK.InvalidAccessKeySecret" : "SignatureDoesNotMatch", refused.code, client.getKey());
        }
    }

    @ParameterizedTest
    @MethodSource("clients")
    void anActionThatIsNotKnownIsNotFound(Client client) {
        Client.Refused refused =
                assertThrows(Client.Refused.class, () -> client.call("DescribeNothing", Map.of()));

        assertEquals("InvalidAction.NotFound", refused.code);
    }
}
