// Tencent Cloud's SDK for Go (tdmq 2020-02-17) as a command; see foreign/cmq-control-python/main.py for what it reads and writes.
//
//	foreign-cmq-control-go --endpoint HOST:PORT --id SECRET_ID --key SECRET_KEY [--region REGION] [--token TOKEN] [--unsigned-payload]
//
// An action that the SDK does not know is answered here with the code "ClientError.NoSuchAction"; a field that it does not know is its
// "ClientError.BuildRequestError".
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	sdk "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/errors"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"
)

func main() {
	log.SetFlags(0)
	endpoint := flag.String("endpoint", "", "HOST:PORT")
	id := flag.String("id", "", "secret id")
	key := flag.String("key", "", "secret key")
	region := flag.String("region", "ap-guangzhou", "region")
	token := flag.String("token", "", "token of a temporary key")
	unsigned := flag.Bool("unsigned-payload", false, "sign without the body")
	flag.Parse()

	settings := profile.NewClientProfile()
	settings.HttpProfile.Scheme = "HTTP"
	settings.HttpProfile.Endpoint = *endpoint
	settings.HttpProfile.ReqTimeout = 10
	settings.UnsignedPayload = *unsigned
	calls, err := actions(common.NewTokenCredential(*id, *key, *token), *region, settings)
	if err != nil {
		log.Fatal(err)
	}

	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		text, err := json.Marshal(answer(calls, lines.Bytes()))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(text))
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
}

type object = map[string]any

func answer(calls map[string]call, line []byte) object {
	var params object
	if err := json.Unmarshal(line, &params); err != nil {
		return object{"Code": "ClientError", "Message": err.Error()}
	}
	action, _ := params["Action"].(string)
	delete(params, "Action")
	ask, known := calls[action]
	if !known {
		return object{"Code": "ClientError.NoSuchAction", "Message": "the SDK has no " + action}
	}
	said, err := ask(params)
	if told := (*sdk.TencentCloudSDKError)(nil); errors.As(err, &told) {
		return object{"Code": told.GetCode(), "Message": told.GetMessage(), "RequestId": told.GetRequestId()}
	}
	if err != nil {
		return object{"Code": "ClientError", "Message": err.Error()}
	}
	said["Code"] = ""
	return said
}
