package mq.foreign.cmq;

import com.qcloud.cmq.Account;
import com.qcloud.cmq.Message;
import com.qcloud.cmq.Queue;
import com.qcloud.cmq.QueueMeta;
import com.qcloud.cmq.Subscription;
import com.qcloud.cmq.SubscriptionMeta;
import com.qcloud.cmq.Topic;
import com.qcloud.cmq.TopicMeta;
import com.qcloud.cmq.json.JSONArray;
import com.qcloud.cmq.json.JSONObject;
import java.util.ArrayList;
import java.util.List;

/** What the SDK can do, by the actions' names on the wire. */
final class Calls {
    private final Account account;

    Calls(Account account) {
        this.account = account;
    }

    JSONObject call(String action, Params given) throws Exception {
        JSONObject said = action.contains("Topic") || action.contains("ubscri") || action.contains("Publish")
            ? topic(action, given)
            : queue(action, given);
        given.finish();
        return said;
    }

    private JSONObject queue(String action, Params given) throws Exception {
        if (action.equals("ListQueue")) {
            List<String> names = new ArrayList<>();
            int count = account.listQueue(word(given), given.number("offset", -1), given.number("limit", -1), names);
            return new JSONObject().put("totalCount", count).put("queueList", array(names));
        }
        String name = given.text("queueName");
        Queue queue = account.getQueue(name);
        JSONObject said = new JSONObject();
        switch (action) {
            case "SendMessage":
                return said.put("msgId", given.has("delaySeconds")
                    ? queue.sendMessage(given.text("msgBody"), given.number("delaySeconds", 0))
                    : queue.sendMessage(given.text("msgBody")));
            case "BatchSendMessage":
                return said.put("msgList", ids(given.has("delaySeconds")
                    ? queue.batchSendMessage(given.list("msgBody"), given.number("delaySeconds", 0))
                    : queue.batchSendMessage(given.list("msgBody"))));
            case "ReceiveMessage":
                return received(given.has("pollingWaitSeconds")
                    ? queue.receiveMessage(given.number("pollingWaitSeconds", 0))
                    : queue.receiveMessage());
            case "BatchReceiveMessage":
                JSONArray messages = new JSONArray();
                int count = given.number("numOfMsg", 0);
                List<Message> got = given.has("pollingWaitSeconds")
                    ? queue.batchReceiveMessage(count, given.number("pollingWaitSeconds", 0))
                    : queue.batchReceiveMessage(count);
                for (Message message : got) {
                    messages.put(received(message));
                }
                return said.put("msgInfoList", messages);
            case "DeleteMessage":
                queue.deleteMessage(given.text("receiptHandle"));
                return said;
            case "BatchDeleteMessage":
                queue.batchDeleteMessage(given.list("receiptHandle"));
                return said;
            case "CreateQueue":
                account.createQueue(name, queueMeta(given));
                return said;
            case "SetQueueAttributes":
                queue.setQueueAttributes(queueMeta(given));
                return said;
            case "GetQueueAttributes":
                return attributes(queue.getQueueAttributes());
            case "DeleteQueue":
                account.deleteQueue(name);
                return said;
            case "RewindQueue":
                queue.rewindQueue(given.number("startConsumeTime", 0));
                return said;
            default:
                throw new UnsupportedOperationException("the SDK has no " + action);
        }
    }

    private JSONObject topic(String action, Params given) throws Exception {
        JSONObject said = new JSONObject();
        if (action.equals("ListTopic")) {
            List<String> names = new ArrayList<>();
            int count = account.listTopic(word(given), names, given.number("offset", -1), given.number("limit", -1));
            return said.put("totalCount", count).put("topicList", array(names));
        }
        String name = given.text("topicName");
        Topic topic = account.getTopic(name);
        switch (action) {
            case "PublishMessage":
                return said.put("msgId",
                    topic.publishMessage(given.text("msgBody"), given.list("msgTag"), given.textIf("routingKey")));
            case "BatchPublishMessage":
                return said.put("msgList",
                    ids(topic.batchPublishMessage(given.list("msgBody"), given.list("msgTag"), given.textIf("routingKey"))));
            case "CreateTopic":
                account.createTopic(name, given.number("maxMsgSize", 65536), given.number("filterType", 1));
                return said;
            case "SetTopicAttributes":
                topic.setTopicAttributes(given.number("maxMsgSize", 65536));
                return said;
            case "GetTopicAttributes":
                TopicMeta meta = topic.getTopicAttributes();
                return said.put("msgCount", meta.msgCount).put("maxMsgSize", meta.maxMsgSize)
                    .put("msgRetentionSeconds", meta.msgRetentionSeconds).put("filterType", meta.filterType);
            case "DeleteTopic":
                account.deleteTopic(name);
                return said;
            case "ListSubscriptionByTopic":
                List<String> names = new ArrayList<>();
                int count = topic.ListSubscription(given.number("offset", -1), given.number("limit", -1), word(given), names);
                return said.put("totalCount", count).put("subscriptionList", array(names));
            default:
                return subscription(action, name, given);
        }
    }

    private JSONObject subscription(String action, String topic, Params given) throws Exception {
        JSONObject said = new JSONObject();
        String name = given.text("subscriptionName");
        Subscription subscription = account.getSubscription(topic, name);
        switch (action) {
            case "Subscribe":
                SubscriptionMeta wanted = subscriptionMeta(given);
                account.createSubscribe(topic, name, given.text("endpoint"), given.text("protocol"), wanted.FilterTag,
                    wanted.bindingKey, wanted.NotifyStrategy, wanted.NotifyContentFormat);
                return said;
            case "SetSubscriptionAttributes":
                subscription.SetSubscriptionAttributes(subscriptionMeta(given));
                return said;
            case "GetSubscriptionAttributes":
                SubscriptionMeta meta = subscription.getSubscriptionAttributes();
                return said.put("protocol", meta.Protocal).put("endpoint", meta.Endpoint)
                    .put("notifyStrategy", meta.NotifyStrategy).put("notifyContentFormat", meta.NotifyContentFormat)
                    .put("filterTags", array(meta.FilterTag)).put("bindingKey", array(meta.bindingKey));
            case "ClearSubscriptionFilterTags":
                subscription.ClearFilterTags();
                return said;
            case "Unsubscribe":
                account.deleteSubscribe(topic, name);
                return said;
            default:
                throw new UnsupportedOperationException("the SDK has no " + action);
        }
    }

    /** What is not given is sent with the SDK's default. */
    private static QueueMeta queueMeta(Params given) {
        QueueMeta meta = new QueueMeta();
        meta.maxMsgHeapNum = given.number("maxMsgHeapNum", meta.maxMsgHeapNum);
        meta.pollingWaitSeconds = given.number("pollingWaitSeconds", meta.pollingWaitSeconds);
        meta.visibilityTimeout = given.number("visibilityTimeout", meta.visibilityTimeout);
        meta.maxMsgSize = given.number("maxMsgSize", meta.maxMsgSize);
        meta.msgRetentionSeconds = given.number("msgRetentionSeconds", meta.msgRetentionSeconds);
        meta.rewindSeconds = given.number("rewindSeconds", meta.rewindSeconds);
        return meta;
    }

    private static JSONObject attributes(QueueMeta meta) {
        return new JSONObject()
            .put("maxMsgHeapNum", meta.maxMsgHeapNum).put("pollingWaitSeconds", meta.pollingWaitSeconds)
            .put("visibilityTimeout", meta.visibilityTimeout).put("maxMsgSize", meta.maxMsgSize)
            .put("msgRetentionSeconds", meta.msgRetentionSeconds).put("rewindSeconds", meta.rewindSeconds)
            .put("activeMsgNum", meta.activeMsgNum).put("inactiveMsgNum", meta.inactiveMsgNum)
            .put("delayMsgNum", meta.delayMsgNum).put("rewindmsgNum", meta.rewindmsgNum);
    }

    private static SubscriptionMeta subscriptionMeta(Params given) {
        SubscriptionMeta meta = new SubscriptionMeta();
        String strategy = given.textIf("notifyStrategy");
        String format = given.textIf("notifyContentFormat");
        meta.NotifyStrategy = strategy == null ? meta.NotifyStrategy : strategy;
        meta.NotifyContentFormat = format == null ? meta.NotifyContentFormat : format;
        meta.FilterTag = given.list("filterTag");
        meta.bindingKey = given.list("bindingKey");
        return meta;
    }

    private static JSONObject received(Message message) {
        return new JSONObject()
            .put("msgId", message.msgId).put("receiptHandle", message.receiptHandle).put("msgBody", message.msgBody)
            .put("enqueueTime", message.enqueueTime).put("nextVisibleTime", message.nextVisibleTime)
            .put("firstDequeueTime", message.firstDequeueTime).put("dequeueCount", message.dequeueCount);
    }

    private static String word(Params given) {
        String word = given.textIf("searchWord");
        return word == null ? "" : word;
    }

    private static JSONArray ids(List<String> ids) {
        JSONArray all = new JSONArray();
        for (String id : ids) {
            all.put(new JSONObject().put("msgId", id));
        }
        return all;
    }

    private static JSONArray array(List<String> texts) {
        JSONArray all = new JSONArray();
        if (texts != null) {
            for (String text : texts) {
                all.put(text);
            }
        }
        return all;
    }
}
