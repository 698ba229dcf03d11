package clients;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.ArrayList;
import org.junit.jupiter.api.Test;

/** The whole way once with real containers: what the SDK was answered is what runs on this machine. Needs root. */
class ContainersTest {
    private static final HttpClient HTTP = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(2)).build();

    @Test
    void sixContainersAnswerAndGoAgain() throws Exception {
        if ((Integer) Files.getAttribute(Path.of("/proc/self"), "unix:uid") != 0) {
            System.out.println("SKIPPED java_clients/sixContainersAnswerAndGoAgain: containers need root");
            assumeTrue(false);
        }
        Server server = new Server("embedded");
        try {
            sixContainersAnswerAndGoAgain(new Client.Classic(server.endpoint, Server.ACCESS_KEY_SECRET));
        } finally {
            server.close();
        }
    }

    private static void sixContainersAnswerAndGoAgain(Client client) throws Exception {
        String image = "oci:" + Server.TOP.resolve("target/hello-edge.oci");
        Map<String, String> template = Map.of("Template", WithServer.template("v2", image));
        String id = client.call("CreateApplication", template).get("AppId").getAsString();
        client.call(
                "RescaleApplication",
                Map.of(
                        "AppId", id,
                        "RescaleType", "Add",
                        "RescaleLevel", "RegionId",
                        "ResourceSelector", WithServer.DOCUMENTED_SELECTOR,
                        "ToAppVersion", "v2",
                        "Timeout", "1800"));

        List<JsonObject> up = WithServer.resources(WithServer.running(client, id));

        List<JsonObject> pages = new ArrayList<>();
        for (JsonObject resource : up) {
            pages.add(page(resource));
        }
        assertEquals(WithServer.column(up, "InstanceId"), WithServer.column(pages, "ENS_INSTANCE_ID"));
        assertEquals(WithServer.column(up, "RegionId"), WithServer.column(pages, "ENS_REGION_ID"));
        assertEquals(List.of("v2", "v2", "v2", "v2", "v2", "v2"), WithServer.column(pages, "ENS_APP_VERSION"));

        WithServer.remove(client, id);
        assertThrows(IOException.class, () -> page(up.get(0)));
    }

    /** What the instance's container answers on its own address. */
    private static JsonObject page(JsonObject resource) throws IOException, InterruptedException {
        JsonObject address = resource.getAsJsonArray("InternalIps").get(0).getAsJsonObject();
        URI uri = URI.create("http://" + address.get("Ip").getAsString() + ":8080/");
        HttpRequest request = HttpRequest.newBuilder(uri).timeout(Duration.ofSeconds(2)).build();
        return JsonParser.parseString(HTTP.send(request, HttpResponse.BodyHandlers.ofString()).body())
                .getAsJsonObject();
    }
}
