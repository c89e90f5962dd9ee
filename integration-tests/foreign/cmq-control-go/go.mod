module mq/foreign-cmq-control

go 1.24

require (
	github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common v1.0.900
	github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/tdmq v1.0.900
)
