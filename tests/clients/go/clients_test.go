package clients

// The official SDKs, unchanged, behind one call: an action and its parameters in, the body or a refusal out. Only what
// an SDK's own user sets is set here: key, endpoint, and that it is plain HTTP.

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"

	core "github.com/alibabacloud-go/darabonba-openapi/v2/client"
	"github.com/alibabacloud-go/darabonba-openapi/v2/utils"
	"github.com/alibabacloud-go/tea/dara"
	"github.com/alibabacloud-go/tea/tea"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	classicErrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/responses"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ens"
)

const version = "2017-11-10"

type parameters map[string]string

// body is an answer as JSON has it.
type body map[string]any

// client is an SDK.
type client interface {
	call(action string, given parameters) (body, error)
}

// refused is an error as the SDK hands it to its user.
type refused struct {
	code      string
	status    int
	recommend string
	original  error
}

func (r *refused) Error() string { return fmt.Sprintf("%s (%d): %s", r.code, r.status, r.original) }

// clients has every one by its name.
var clients = map[string]func(endpoint, secret string) (client, error){
	"openapi-v3":   func(endpoint, secret string) (client, error) { return newOpenAPI(endpoint, secret, "") },
	"openapi-v1":   func(endpoint, secret string) (client, error) { return newOpenAPI(endpoint, secret, "v2") },
	"classic":      newClassic,
	"aliyun":       func(endpoint, secret string) (client, error) { return newCommandLine(endpoint, secret, false) },
	"aliyun-force": func(endpoint, secret string) (client, error) { return newCommandLine(endpoint, secret, true) },
}

// openAPI is `darabonba-openapi`, the inside of `github.com/alibabacloud-go/ens-20171110`: what the classes of that
// module do is this generic call. It signs V3, or V1 with "v2".
type openAPI struct{ client *core.Client }

func newOpenAPI(endpoint, secret, signatureAlgorithm string) (client, error) {
	config := &utils.Config{
		AccessKeyId:     dara.String(accessKeyID),
		AccessKeySecret: dara.String(secret),
		Endpoint:        dara.String(endpoint),
		Protocol:        dara.String("HTTP"),
	}
	if signatureAlgorithm != "" {
		config.SignatureAlgorithm = dara.String(signatureAlgorithm)
	}
	made, err := core.NewClient(config)
	return &openAPI{made}, err
}

func (c *openAPI) call(action string, given parameters) (body, error) {
	asked := &utils.Params{
		Action:      dara.String(action),
		Version:     dara.String(version),
		Protocol:    dara.String("HTTPS"),
		Pathname:    dara.String("/"),
		Method:      dara.String(method(action)),
		AuthType:    dara.String("AK"),
		Style:       dara.String("RPC"),
		ReqBodyType: dara.String("formData"),
		BodyType:    dara.String("json"),
	}
	query := map[string]*string{}
	for name, value := range given {
		query[name] = dara.String(value)
	}
	answer, err := c.client.CallApi(asked, &utils.OpenApiRequest{Query: query}, &dara.RuntimeOptions{})
	if err != nil {
		var known *tea.SDKError
		if errors.As(err, &known) && known.Code != nil && known.StatusCode != nil {
			return nil, &refused{code: *known.Code, status: *known.StatusCode, original: err}
		}
		return nil, err
	}
	content, ok := answer["body"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("no object but %v", answer["body"])
	}
	return content, nil
}

// method is what the metadata lists, and the classes of all SDKs send.
func method(action string) string {
	if action == "DescribeDeviceService" {
		return "GET"
	}
	return "POST"
}

// classic is `alibaba-cloud-sdk-go` with the classes of its package `ens`. It signs V1, and adds `RegionId` to
// everything.
type classic struct{ client *ens.Client }

func newClassic(endpoint, secret string) (client, error) {
	made, err := ens.NewClientWithAccessKey("cn-hangzhou", accessKeyID, secret)
	if err != nil {
		return nil, err
	}
	made.Domain = endpoint
	return &classic{made}, nil
}

// What the package has a class for, of what these tests call.
var classes = map[string]func() (requests.AcsRequest, responses.AcsResponse){
	"CreateApplication": func() (requests.AcsRequest, responses.AcsResponse) {
		return ens.CreateCreateApplicationRequest(), ens.CreateCreateApplicationResponse()
	},
	"RescaleApplication": func() (requests.AcsRequest, responses.AcsResponse) {
		return ens.CreateRescaleApplicationRequest(), ens.CreateRescaleApplicationResponse()
	},
	"UpgradeApplication": func() (requests.AcsRequest, responses.AcsResponse) {
		return ens.CreateUpgradeApplicationRequest(), ens.CreateUpgradeApplicationResponse()
	},
	"RollbackApplication": func() (requests.AcsRequest, responses.AcsResponse) {
		return ens.CreateRollbackApplicationRequest(), ens.CreateRollbackApplicationResponse()
	},
	"DeleteApplication": func() (requests.AcsRequest, responses.AcsResponse) {
		return ens.CreateDeleteApplicationRequest(), ens.CreateDeleteApplicationResponse()
	},
	"DescribeApplication": func() (requests.AcsRequest, responses.AcsResponse) {
		return ens.CreateDescribeApplicationRequest(), ens.CreateDescribeApplicationResponse()
	},
	"DescribeDeviceService": func() (requests.AcsRequest, responses.AcsResponse) {
		return ens.CreateDescribeDeviceServiceRequest(), ens.CreateDescribeDeviceServiceResponse()
	},
	"ListApplications": func() (requests.AcsRequest, responses.AcsResponse) {
		return ens.CreateListApplicationsRequest(), ens.CreateListApplicationsResponse()
	},
	"DescribeEnsRegions": func() (requests.AcsRequest, responses.AcsResponse) {
		return ens.CreateDescribeEnsRegionsRequest(), ens.CreateDescribeEnsRegionsResponse()
	},
	"ReleaseInstance": func() (requests.AcsRequest, responses.AcsResponse) {
		return ens.CreateReleaseInstanceRequest(), ens.CreateReleaseInstanceResponse()
	},
}

func (c *classic) call(action string, given parameters) (body, error) {
	make, ok := classes[action]
	if !ok {
		return (&commandLine{client: &c.client.Client, endpoint: c.client.Domain}).call(action, given)
	}
	request, response := make()
	for name, value := range given {
		field := reflect.ValueOf(request).Elem().FieldByName(name)
		if !field.IsValid() {
			return nil, fmt.Errorf("the class %sRequest has no %s", action, name)
		}
		// Integers are strings of a type of their own.
		field.Set(reflect.ValueOf(value).Convert(field.Type()))
	}
	if err := c.client.DoAction(request, response); err != nil {
		return nil, classicRefusal(err)
	}
	// Not the body itself but what the class has read of it.
	read, err := json.Marshal(response)
	if err != nil {
		return nil, err
	}
	return parsed(read)
}

// commandLine calls as `aliyun ens ACTION --endpoint HOST:PORT --insecure --region cn-hangzhou …` does, with the same core:
// a common request, all parameters in the query, signed V1, the method from the metadata. With `--force --version
// 2017-11-10` nothing is looked up in the metadata, and the core's default of GET stays.
type commandLine struct {
	client   *sdk.Client
	endpoint string
	force    bool
}

func newCommandLine(endpoint, secret string, force bool) (client, error) {
	key := credentials.NewAccessKeyCredential(accessKeyID, secret)
	made, err := sdk.NewClientWithOptions("cn-hangzhou", sdk.NewConfig(), key)
	if err != nil {
		return nil, err
	}
	made.AppendUserAgent("Aliyun-CLI", "3.0.300")
	return &commandLine{made, endpoint, force}, nil
}

func (c *commandLine) call(action string, given parameters) (body, error) {
	request := requests.NewCommonRequest()
	request.Product = "ens"
	request.Version = version
	request.ApiName = action
	request.RegionId = "cn-hangzhou"
	request.Domain = c.endpoint
	request.Scheme = "http"
	if !c.force {
		request.Method = method(action)
	}
	for name, value := range given {
		request.QueryParams[name] = value
	}
	answer, err := c.client.ProcessCommonRequest(request)
	if err != nil {
		return nil, classicRefusal(err)
	}
	return parsed(answer.GetHttpContentBytes())
}

func classicRefusal(err error) error {
	var known *classicErrors.ServerError
	if errors.As(err, &known) {
		return &refused{known.ErrorCode(), known.HttpStatus(), known.Recommend(), err}
	}
	return err
}

func parsed(text []byte) (body, error) {
	var read body
	if err := json.Unmarshal(text, &read); err != nil {
		return nil, fmt.Errorf("no JSON (%w): %s", err, strconv.Quote(string(text)))
	}
	return read, nil
}
