package mq.foreign.cmqtcp;

import com.qcloud.cmq.client.common.TransactionStatus;
import com.qcloud.cmq.client.consumer.BatchDeleteResult;
import com.qcloud.cmq.client.consumer.BatchReceiveResult;
import com.qcloud.cmq.client.consumer.Consumer;
import com.qcloud.cmq.client.consumer.DeleteResult;
import com.qcloud.cmq.client.consumer.Message;
import com.qcloud.cmq.client.consumer.ReceiptHandleErrorInfo;
import com.qcloud.cmq.client.consumer.ReceiveResult;
import com.qcloud.cmq.client.http.Json.JSONArray;
import com.qcloud.cmq.client.http.Json.JSONObject;
import com.qcloud.cmq.client.producer.BatchPublishResult;
import com.qcloud.cmq.client.producer.BatchSendResult;
import com.qcloud.cmq.client.producer.PublishResult;
import com.qcloud.cmq.client.producer.SendResult;
import com.qcloud.cmq.client.producer.TransactionExecutor;
import com.qcloud.cmq.client.producer.TransactionProducer;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;

/** What the SDK can do, by the actions' names over HTTP; transactions by names of this program's own. */
final class Calls {
    private final TransactionProducer producer;
    private final Consumer consumer;
    /** What the checker of a queue answers, and the ids that it was asked for. */
    private final Map<String, TransactionStatus> verdicts = new ConcurrentHashMap<>();
    private final Map<String, List<Long>> asked = new ConcurrentHashMap<>();

    Calls(TransactionProducer producer, Consumer consumer) {
        this.producer = producer;
        this.consumer = consumer;
    }

    JSONObject call(String action, Params given) throws Exception {
        JSONObject said = said(action, given);
        given.finish();
        return said;
    }

    private JSONObject said(String action, Params given) throws Exception {
        switch (action) {
            case "PublishMessage":
            case "BatchPublishMessage":
                return publish(action, given.text("topicName"), given);
            case "ReceiveMessage":
            case "BatchReceiveMessage":
            case "DeleteMessage":
            case "BatchDeleteMessage":
                return consume(action, given.text("queueName"), given);
            default:
                return send(action, given.text("queueName"), given);
        }
    }

    private JSONObject send(String action, String queue, Params given) throws Exception {
        switch (action) {
            case "SendMessage":
                return sent(producer.send(queue, given.text("msgBody"), given.number("delaySeconds", 0)));
            case "BatchSendMessage":
                return sent(producer.batchSend(queue, given.list("msgBody"), given.number("delaySeconds", 0)));
            case "SendTransaction":
                checker(queue);
                producer.setFirstCheckInterval(given.number("firstCheckInterval", 0));
                return sent(producer.sendTransactionMessage(queue, given.text("msgBody"), executor(given.text("outcome")), null));
            case "BatchSendTransaction":
                checker(queue);
                producer.setFirstCheckInterval(given.number("firstCheckInterval", 0));
                List<TransactionExecutor> executors = new ArrayList<>();
                for (String outcome : given.list("outcome")) {
                    executors.add(executor(outcome));
                }
                List<Object> nothing = Collections.nCopies(executors.size(), null);
                return sent(producer.batchSendTransactionMessages(queue, given.list("msgBody"), executors, nothing));
            case "SetVerdict":
                checker(queue);
                verdicts.put(queue, status(given.text("outcome")));
                return code(0, "");
            case "ListQuestions":
                JSONArray ids = new JSONArray();
                for (Long id : asked.getOrDefault(queue, List.of())) {
                    ids.put(id.toString());
                }
                return code(0, "").put("msgIds", ids);
            default:
                throw new UnsupportedOperationException("the SDK has no " + action);
        }
    }

    private JSONObject publish(String action, String topic, Params given) throws Exception {
        String key = given.textIf("routingKey");
        List<String> tags = given.list("msgTag");
        if (action.equals("PublishMessage")) {
            String body = given.text("msgBody");
            PublishResult result = key != null ? producer.publish(topic, body, key)
                : tags != null ? producer.publish(topic, body, tags) : producer.publish(topic, body);
            return code(result.getReturnCode(), result.getErrorMsg()).put("msgId", Long.toString(result.getMsgId()));
        }
        List<String> bodies = given.list("msgBody");
        BatchPublishResult result = key != null ? producer.batchPublish(topic, bodies, key) : producer.batchPublish(topic, bodies, tags);
        return code(result.getReturnCode(), result.getErrorMessage()).put("msgList", ids(result.getMsgIdList()));
    }

    private JSONObject consume(String action, String queue, Params given) throws Exception {
        switch (action) {
            case "ReceiveMessage":
                ReceiveResult one = consumer.receiveMsg(queue, given.number("pollingWaitSeconds", 0));
                JSONObject said = code(one.getReturnCode(), one.getErrorMessage());
                return one.getMessage() == null ? said : received(said, one.getMessage());
            case "BatchReceiveMessage":
                BatchReceiveResult some =
                    consumer.batchReceiveMsg(queue, given.number("numOfMsg", 0), given.number("pollingWaitSeconds", 0));
                JSONArray messages = new JSONArray();
                if (some.getMessageList() != null) {
                    for (Message message : some.getMessageList()) {
                        messages.put(received(new JSONObject(), message));
                    }
                }
                return code(some.getReturnCode(), some.getErrorMessage()).put("msgInfoList", messages);
            case "DeleteMessage":
                DeleteResult deleted = consumer.deleteMsg(queue, Long.parseLong(given.text("receiptHandle")));
                return code(deleted.getReturnCode(), deleted.getErrorMessage());
            default:
                List<Long> handles = new ArrayList<>();
                for (String handle : given.list("receiptHandle")) {
                    handles.add(Long.parseLong(handle));
                }
                return deleted(consumer.batchDeleteMsg(queue, handles));
        }
    }

    private void checker(String queue) {
        TransactionProducer.setChecker(queue, message -> {
            asked.computeIfAbsent(queue, name -> new CopyOnWriteArrayList<>()).add(message.getMessageId());
            return verdicts.getOrDefault(queue, TransactionStatus.UN_KNOW);
        });
    }

    private static TransactionExecutor executor(String outcome) {
        TransactionStatus status = status(outcome);
        return (body, arg) -> status;
    }

    private static TransactionStatus status(String outcome) {
        switch (outcome) {
            case "commit":
                return TransactionStatus.SUCCESS;
            case "rollback":
                return TransactionStatus.FAIL;
            default:
                return TransactionStatus.UN_KNOW;
        }
    }

    private static JSONObject sent(SendResult result) {
        return code(result.getReturnCode(), result.getErrorMsg()).put("msgId", Long.toString(result.getMsgId()));
    }

    private static JSONObject sent(BatchSendResult result) {
        return code(result.getReturnCode(), result.getErrorMessage()).put("msgList", ids(result.getMsgIdList()));
    }

    private static JSONObject deleted(BatchDeleteResult result) {
        JSONArray errors = new JSONArray();
        if (result.getErrorList() != null) {
            for (ReceiptHandleErrorInfo error : result.getErrorList()) {
                errors.put(new JSONObject().put("code", error.getReturnCode())
                    .put("receiptHandle", Long.toString(error.getReceiptHandle())));
            }
        }
        return code(result.getReturnCode(), result.getErrorMessage()).put("errorList", errors);
    }

    private static JSONObject received(JSONObject said, Message message) {
        return said.put("msgId", Long.toString(message.getMessageId()))
            .put("receiptHandle", Long.toString(message.getReceiptHandle())).put("msgBody", message.getData());
    }

    private static JSONObject code(int code, String error) {
        return new JSONObject().put("code", code).put("error", error == null ? "" : error);
    }

    private static JSONArray ids(List<Long> ids) {
        JSONArray all = new JSONArray();
        if (ids != null) {
            for (Long id : ids) {
                all.put(new JSONObject().put("msgId", id.toString()));
            }
        }
        return all;
    }
}
