package mq.foreign;

import com.alibaba.fastjson2.JSON;
import com.alibaba.fastjson2.JSONWriter;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.StringJoiner;
import org.apache.rocketmq.client.consumer.AllocateMessageQueueStrategy;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMachineRoomNearby;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragely;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragelyByCircle;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueByConfig;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueByMachineRoom;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueConsistentHash;
import org.apache.rocketmq.common.MQVersion;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * Asks every strategy of the client what each member of many groups gets, one group a line; no broker is asked.
 *
 * <p>An answer names queues by their place in the group's own list: {@code 0 1|2|!|} is the first two for the first client, the third for
 * the second; the third client's strategy threw; the last, who is always one that the group does not have, gets none. A long answer is
 * given as {@code #} and the first 16 digits of its SHA-1.
 */
final class Allocate {
    private static final int LONGEST = 48;
    static final String OUTSIDER = "10.9.9.9@9#9";

    private Allocate() {
    }

    static int run() throws Exception {
        Map<String, Object> header = new LinkedHashMap<>();
        header.put("client", MQVersion.getVersionDesc(MQVersion.CURRENT_VERSION));
        header.put("recorded_by", "just capture-rocketmq-allocations");
        print(header);
        for (Group group : Groups.all()) {
            Map<String, Object> line = new LinkedHashMap<>();
            line.put("topic", group.topic);
            List<List<Object>> brokers = new ArrayList<>();
            group.brokers.forEach((broker, queues) -> brokers.add(List.of(broker, queues)));
            line.put("brokers", brokers);
            line.put("clients", group.clients);
            line.put("rooms", group.rooms);
            line.put("config", group.config);
            line.put("answers", answers(group));
            print(line);
        }
        return Main.DONE;
    }

    /** What is not ASCII is escaped: the charset of stdout is the machine's. */
    private static void print(Map<String, Object> line) {
        System.out.println(JSON.toJSONString(line, JSONWriter.Feature.EscapeNoneAscii));
    }

    private static Map<String, String> answers(Group group) throws GeneralSecurityException {
        Map<String, String> answers = new LinkedHashMap<>();
        for (Map.Entry<String, AllocateMessageQueueStrategy> strategy : strategies(group).entrySet()) {
            answers.put(strategy.getKey(), shortened(answer(group, strategy.getValue())));
        }
        return answers;
    }

    private static Map<String, AllocateMessageQueueStrategy> strategies(Group group) {
        AllocateMessageQueueByConfig config = new AllocateMessageQueueByConfig();
        List<MessageQueue> configured = new ArrayList<>();
        group.config.forEach(place -> configured.add(group.queues().get(place)));
        config.setMessageQueueList(configured);
        AllocateMessageQueueByMachineRoom room = new AllocateMessageQueueByMachineRoom();
        room.setConsumeridcs(new LinkedHashSet<>(group.rooms));

        Map<String, AllocateMessageQueueStrategy> all = new LinkedHashMap<>();
        all.put("averagely", new AllocateMessageQueueAveragely());
        all.put("circle", new AllocateMessageQueueAveragelyByCircle());
        all.put("config", config);
        all.put("room", room);
        all.put("hash", new AllocateMessageQueueConsistentHash());
        all.put("hash-" + group.nodes, new AllocateMessageQueueConsistentHash(group.nodes));
        for (String inner : List.copyOf(all.keySet())) {
            all.put("nearby-" + inner, new AllocateMachineRoomNearby(all.get(inner), Group.ROOMS));
        }
        all.put("nearby-nearby-circle", new AllocateMachineRoomNearby(all.get("nearby-circle"), Group.ROOMS));
        return all;
    }

    private static String answer(Group group, AllocateMessageQueueStrategy strategy) {
        List<MessageQueue> listed = group.queues();
        Set<String> asked = new LinkedHashSet<>(group.clients);
        asked.add(OUTSIDER);
        StringJoiner answer = new StringJoiner("|");
        for (String client : asked) {
            // As RebalanceImpl.rebalanceByTopic does before it asks.
            List<MessageQueue> queues = new ArrayList<>(listed);
            List<String> clients = new ArrayList<>(group.clients);
            Collections.sort(queues);
            Collections.sort(clients);
            StringJoiner places = new StringJoiner(" ");
            try {
                for (MessageQueue queue : strategy.allocate("group", client, queues, clients)) {
                    places.add(String.valueOf(listed.indexOf(queue)));
                }
                answer.add(places.toString());
            } catch (IllegalArgumentException e) {
                answer.add("!");
            }
        }
        return answer.toString();
    }

    private static String shortened(String answer) throws GeneralSecurityException {
        if (answer.length() <= LONGEST) {
            return answer;
        }
        byte[] digest = MessageDigest.getInstance("SHA-1").digest(answer.getBytes(StandardCharsets.UTF_8));
        StringBuilder text = new StringBuilder("#");
        for (int i = 0; i < 8; i++) {
            text.append(String.format("%02x", digest[i]));
        }
        return text.toString();
    }
}
