package clients;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.aliyun.tea.TeaException;
import com.aliyun.teaopenapi.models.Config;
import com.aliyun.teaopenapi.models.OpenApiRequest;
import com.aliyun.teaopenapi.models.Params;
import com.aliyun.teautil.models.RuntimeOptions;
import com.aliyuncs.AcsResponse;
import com.aliyuncs.DefaultAcsClient;
import com.aliyuncs.RpcAcsRequest;
import com.aliyuncs.exceptions.ClientException;
import com.aliyuncs.http.MethodType;
import com.aliyuncs.http.ProtocolType;
import com.aliyuncs.profile.DefaultProfile;
import com.aliyuncs.transform.UnmarshallerContext;
import com.google.gson.Gson;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The official SDKs, unchanged, behind one call: an action and its parameters in, the body or {@link Refused} out. Only
 * what an SDK's own user sets is set here: key, endpoint, and that it is plain HTTP.
 */
interface Client {
    String VERSION = "2017-11-10";

    JsonObject call(String action, Map<String, String> parameters) throws Exception;

    /** What the metadata lists, and the classes of all SDKs send. */
    static String method(String action) {
        return action.equals("DescribeDeviceService") ? "GET" : "POST";
    }

    /** Every one by its name. */
    static Map<String, Client> all(String endpoint, String secret) throws Exception {
        Map<String, Client> clients = new LinkedHashMap<>();
        clients.put("tea-openapi, V3", new OpenApi(endpoint, secret, null));
        clients.put("tea-openapi, V1", new OpenApi(endpoint, secret, "v2"));
        clients.put("aliyun-java-sdk-core", new Classic(endpoint, secret));
        return clients;
    }

    /** An error as the SDK hands it to its user; without a status where it keeps none. */
    final class Refused extends Exception {
        private static final long serialVersionUID = 1;

        final String code;
        final Integer status;

        Refused(String code, Integer status, Exception original) {
            super(code + ": " + original.getMessage(), original);
            this.code = code;
            this.status = status;
        }
    }

    /**
     * {@code com.aliyun:tea-openapi}, the inside of {@code com.aliyun:ens20171110}: what the classes of that package do is
     * this generic call. Signs V3, or V1 with "v2".
     */
    final class OpenApi implements Client {
        private final com.aliyun.teaopenapi.Client client;

        OpenApi(String endpoint, String secret, String signatureAlgorithm) throws Exception {
            client =
                    new com.aliyun.teaopenapi.Client(
                            new Config()
                                    .setAccessKeyId(Server.ACCESS_KEY_ID)
                                    .setAccessKeySecret(secret)
                                    .setEndpoint(endpoint)
                                    .setProtocol("HTTP")
                                    .setSignatureAlgorithm(signatureAlgorithm));
        }

        @Override
        public JsonObject call(String action, Map<String, String> parameters) throws Exception {
            Params params =
                    new Params()
                            .setAction(action)
                            .setVersion(VERSION)
                            .setProtocol("HTTPS")
                            .setPathname("/")
                            .setMethod(method(action))
                            .setAuthType("AK")
                            .setStyle("RPC")
                            .setReqBodyType("formData")
                            .setBodyType("json");
            try {
                OpenApiRequest request = new OpenApiRequest().setQuery(parameters);
                Object body = client.callApi(params, request, new RuntimeOptions()).get("body");
                return new Gson().toJsonTree(body).getAsJsonObject();
            } catch (TeaException error) {
                throw new Refused(error.getCode(), error.getStatusCode(), error);
            }
        }
    }

    /**
     * {@code com.aliyun:aliyun-java-sdk-core}, by a request and a response that are made like the classes of
     * {@code com.aliyun:aliyun-java-sdk-ens}. Signs V1, and adds {@code RegionId} to everything.
     */
    final class Classic implements Client {
        private final DefaultAcsClient client;
        private final String endpoint;

        Classic(String endpoint, String secret) {
            this.endpoint = endpoint;
            client = new DefaultAcsClient(DefaultProfile.getProfile("cn-hangzhou", Server.ACCESS_KEY_ID, secret));
        }

        @Override
        public JsonObject call(String action, Map<String, String> parameters) throws Exception {
            Request request = new Request(action);
            request.setSysEndpoint(endpoint);
            request.setSysProtocol(ProtocolType.HTTP);
            parameters.forEach(request::set);
            try {
                return client.getAcsResponse(request).body();
            } catch (ClientException error) {
                throw new Refused(error.getErrCode(), null, error);
            }
        }

        private static final class Request extends RpcAcsRequest<Response> {
            Request(String action) {
                super("Ens", VERSION, action, "ens");
                setSysMethod(MethodType.valueOf(method(action)));
            }

            void set(String name, String value) {
                putQueryParameter(name, value);
            }

            @Override
            public Class<Response> getResponseClass() {
                return Response.class;
            }
        }

        /** What the core makes by its public constructor, and hands what it has taken to pieces. */
        public static final class Response extends AcsResponse {
            private String text;
            private Map<String, String> pieces;

            @Override
            public Response getInstance(UnmarshallerContext context) throws ClientException {
                text = context.getHttpResponse().getHttpContentString();
                pieces = context.getResponseMap();
                return this;
            }

            /** The whole body, of which the core has read the same RequestId as anybody. */
            JsonObject body() {
                JsonObject body = JsonParser.parseString(text).getAsJsonObject();
                // It names what it reads after the class that it reads it for.
                String name = getClass().getName().substring(getClass().getPackageName().length() + 1);
                assertEquals(body.get("RequestId").getAsString(), pieces.get(name + ".RequestId"));
                return body;
            }
        }
    }
}
