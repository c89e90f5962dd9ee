package mq.foreign;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.admin.ConsumeStats;
import org.apache.rocketmq.remoting.protocol.admin.OffsetWrapper;
import org.apache.rocketmq.remoting.protocol.body.ClusterInfo;
import org.apache.rocketmq.remoting.protocol.route.BrokerData;
import org.apache.rocketmq.remoting.protocol.route.QueueData;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/** Asks what only the admin client asks: topics, offsets by time, a group's lag, groups; makes a topic and a group, and deletes them. */
final class Admin {
    private Admin() {
    }

    static int run(Options options) throws Exception {
        DefaultMQAdminExt admin = new DefaultMQAdminExt(options.credentials(), 10_000);
        admin.setNamesrvAddr(options.required("namesrv"));
        admin.start();
        try {
            ask(admin, options);
            change(admin, options);
        } finally {
            admin.shutdown();
        }
        return Main.DONE;
    }

    private static void ask(DefaultMQAdminExt admin, Options options) throws Exception {
        Map<String, Object> topics = new LinkedHashMap<>();
        topics.put("topics", new TreeSet<>(admin.fetchAllTopicList().getTopicList()));
        Main.line(topics);

        String topic = options.required("topic");
        long when = Long.parseLong(options.text("timestamp", "0"));
        for (MessageQueue queue : queues(admin, topic)) {
            Map<String, Object> offsets = new LinkedHashMap<>();
            offsets.put("broker", queue.getBrokerName());
            offsets.put("queue", queue.getQueueId());
            offsets.put("min", admin.minOffset(queue));
            offsets.put("max", admin.maxOffset(queue));
            offsets.put("at", admin.searchOffset(queue, when));
            Main.line(offsets);
        }

        if (options.has("view")) {
            Map<String, Object> viewed = new LinkedHashMap<>();
            viewed.put("viewed", admin.viewMessage(topic, options.required("view")).getMsgId());
            Main.line(viewed);
        }

        ConsumeStats stats = admin.examineConsumeStats(options.required("group"), topic);
        for (Map.Entry<MessageQueue, OffsetWrapper> entry : stats.getOffsetTable().entrySet()) {
            Map<String, Object> lag = new LinkedHashMap<>();
            lag.put("topic", entry.getKey().getTopic());
            lag.put("broker", entry.getKey().getBrokerName());
            lag.put("queue", entry.getKey().getQueueId());
            lag.put("broker_offset", entry.getValue().getBrokerOffset());
            lag.put("consumer_offset", entry.getValue().getConsumerOffset());
            Main.line(lag);
        }
    }

    private static void change(DefaultMQAdminExt admin, Options options) throws Exception {
        String topic = options.required("topic") + "_made";
        String group = options.required("group") + "_made";
        Map<String, String> attributes = Map.of("+message.type", "FIFO");
        SubscriptionGroupConfig config = new SubscriptionGroupConfig();
        config.setGroupName(group);
        ClusterInfo info = admin.examineBrokerClusterInfo();
        for (BrokerData broker : info.getBrokerAddrTable().values()) {
            String address = broker.selectBrokerAddr();
            TopicConfig plain = new TopicConfig(topic, 8, 8);
            admin.createAndUpdateTopicConfig(address, plain);
            TopicConfig typed = new TopicConfig(topic + "_typed", 4, 4);
            typed.setAttributes(attributes);
            admin.createAndUpdateTopicConfig(address, typed);
            admin.createAndUpdateSubscriptionGroupConfig(address, config);
            Map<String, Object> groups = new LinkedHashMap<>();
            groups.put("broker", broker.getBrokerName());
            groups.put("groups", new TreeSet<>(admin.getAllSubscriptionGroup(address, 10_000).getSubscriptionGroupTable().keySet()));
            Main.line(groups);
            admin.deleteSubscriptionGroup(address, group, true);
            admin.deleteTopicInBroker(Set.of(address), topic);
            admin.deleteTopicInBroker(Set.of(address), topic + "_typed");
        }
        Set<String> nameservers = Set.of(options.required("namesrv"));
        admin.deleteTopicInNameServer(nameservers, topic);
        admin.deleteTopicInNameServer(nameservers, topic + "_typed");
    }

    private static Set<MessageQueue> queues(DefaultMQAdminExt admin, String topic) throws Exception {
        Set<MessageQueue> queues = new TreeSet<>();
        for (QueueData data : admin.examineTopicRouteInfo(topic).getQueueDatas()) {
            for (int id = 0; id < data.getReadQueueNums(); id++) {
                queues.add(new MessageQueue(topic, data.getBrokerName(), id));
            }
        }
        return queues;
    }
}
