package main

import (
	"encoding/json"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"
	tdmq "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/tdmq/v20200217"
)

// call asks for an action, with parameters in the words of the wire, and gives what the SDK made of the answer.
type call func(params object) (object, error)

// actions are the client's methods about CMQ.
func actions(keys common.CredentialIface, region string, settings *profile.ClientProfile) (map[string]call, error) {
	client, err := tdmq.NewClient(keys, region, settings)
	if err != nil {
		return nil, err
	}
	return map[string]call{
		"CreateCmqQueue":                    through(tdmq.NewCreateCmqQueueRequest, client.CreateCmqQueue),
		"ModifyCmqQueueAttribute":           through(tdmq.NewModifyCmqQueueAttributeRequest, client.ModifyCmqQueueAttribute),
		"DeleteCmqQueue":                    through(tdmq.NewDeleteCmqQueueRequest, client.DeleteCmqQueue),
		"ClearCmqQueue":                     through(tdmq.NewClearCmqQueueRequest, client.ClearCmqQueue),
		"DescribeCmqQueueDetail":            through(tdmq.NewDescribeCmqQueueDetailRequest, client.DescribeCmqQueueDetail),
		"DescribeCmqQueues":                 through(tdmq.NewDescribeCmqQueuesRequest, client.DescribeCmqQueues),
		"DescribeCmqDeadLetterSourceQueues": through(tdmq.NewDescribeCmqDeadLetterSourceQueuesRequest, client.DescribeCmqDeadLetterSourceQueues),
		"RewindCmqQueue":                    through(tdmq.NewRewindCmqQueueRequest, client.RewindCmqQueue),
		"UnbindCmqDeadLetter":               through(tdmq.NewUnbindCmqDeadLetterRequest, client.UnbindCmqDeadLetter),
		"SendCmqMsg":                        through(tdmq.NewSendCmqMsgRequest, client.SendCmqMsg),
		"CreateCmqTopic":                    through(tdmq.NewCreateCmqTopicRequest, client.CreateCmqTopic),
		"ModifyCmqTopicAttribute":           through(tdmq.NewModifyCmqTopicAttributeRequest, client.ModifyCmqTopicAttribute),
		"DeleteCmqTopic":                    through(tdmq.NewDeleteCmqTopicRequest, client.DeleteCmqTopic),
		"DescribeCmqTopicDetail":            through(tdmq.NewDescribeCmqTopicDetailRequest, client.DescribeCmqTopicDetail),
		"DescribeCmqTopics":                 through(tdmq.NewDescribeCmqTopicsRequest, client.DescribeCmqTopics),
		"PublishCmqMsg":                     through(tdmq.NewPublishCmqMsgRequest, client.PublishCmqMsg),
		"CreateCmqSubscribe":                through(tdmq.NewCreateCmqSubscribeRequest, client.CreateCmqSubscribe),
		"ModifyCmqSubscriptionAttribute":    through(tdmq.NewModifyCmqSubscriptionAttributeRequest, client.ModifyCmqSubscriptionAttribute),
		"DeleteCmqSubscribe":                through(tdmq.NewDeleteCmqSubscribeRequest, client.DeleteCmqSubscribe),
		"ClearCmqSubscriptionFilterTags":    through(tdmq.NewClearCmqSubscriptionFilterTagsRequest, client.ClearCmqSubscriptionFilterTags),
		"DescribeCmqSubscriptionDetail":     through(tdmq.NewDescribeCmqSubscriptionDetailRequest, client.DescribeCmqSubscriptionDetail),
	}, nil
}

// through reads parameters into a request of the SDK's and writes its answer out again.
func through[Q interface{ FromJsonString(string) error }, A any](request func() Q, send func(Q) (A, error)) call {
	return func(params object) (object, error) {
		text, err := json.Marshal(params)
		if err != nil {
			return nil, err
		}
		asked := request()
		if err := asked.FromJsonString(string(text)); err != nil {
			return nil, err
		}
		answered, err := send(asked)
		if err != nil {
			return nil, err
		}
		if text, err = json.Marshal(answered); err != nil {
			return nil, err
		}
		var whole struct{ Response object }
		err = json.Unmarshal(text, &whole)
		return whole.Response, err
	}
}
