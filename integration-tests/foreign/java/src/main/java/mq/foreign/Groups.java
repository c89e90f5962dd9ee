package mq.foreign;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/** The groups that are asked about: some by hand, and many by a seeded die, so that two recordings are the same. */
final class Groups {
    private static final int DRAWN = 200;
    private static final List<String> IN_ROOMS = List.of("r0@broker-a", "r0@broker-b", "r1@broker-a", "r1@broker-10", "r1@broker-2",
        "r2@broker-a", "r3@broker-a", "r10@broker-a");
    private static final List<String> ANYWHERE = List.of("broker-a", "broker-b", "broker-10", "broker-2", "Broker-a", "r1@broker-a");
    private static final List<String> TOPICS = List.of("orders", "t", "%RETRY%group", "ns%orders", "%RETRY%ns%group");
    private static final List<Integer> NODES = List.of(0, 1, 2, 3, 5, 9, 11, 16, 40, 100, 160);

    private final Random random = new Random(550);

    private Groups() {
    }

    static List<Group> all() {
        List<Group> all = new ArrayList<>(byHand());
        Groups groups = new Groups();
        for (int i = 0; i < DRAWN; i++) {
            all.add(groups.draw());
        }
        return all;
    }

    private static List<Group> byHand() {
        List<String> three = List.of("10.1.0.1@1", "10.0.0.1@1", "10.2.0.1@1");
        Group atSigns = new Group(brokers("r1@", 1, "@b", 1, "a@b@", 2, "a@b@c", 1, "r1@@b", 1, "@", 1, "b", 1, "r1@b", 2, "r1b", 1), three);
        atSigns.rooms = List.of("", "a", "b", "r1", "r1b");
        Group noRoom = new Group(brokers("r0@a", 4, "r1@a", 4), three);
        noRoom.rooms = List.of();
        // By code point U+FF5E comes first, by UTF-16 code unit U+1F600.
        String tilde = "\uFF5E";
        String smile = "\uD83D\uDE00";
        Group order = new Group(brokers(tilde, 2, "z", 2, smile, 2, "\u00e9", 2), List.of(tilde, "a", smile, "\u00e9"));
        Group rooms = new Group(brokers("r" + tilde + "@a", 3, "r1@a", 3, "r" + smile + "@a", 3), List.of("10.1.0.1@1", "10.1.0.2@1"));
        rooms.rooms = List.of("r" + tilde, "r" + smile);
        Group twice = new Group(brokers("r0@a", 4, "r1@a", 4, "r2@a", 3),
            List.of("10.0.0.1@1", "10.1.0.1@1", "10.0.0.1@1", "10.0.0.2@1", "10.0.0.1@1"));
        twice.nodes = 3;
        Group oneBegins = new Group(brokers("r0@a", 12), List.of("10.0.0.1@1#10", "10.0.0.1@1#1", "10.0.0.10@1#1", "10.0.0.1@1"));
        Group again = new Group(brokers("r0@a", 3, "r1@a", 3), three);
        again.config = List.of(4, 0, 4);
        Group numbers = new Group(brokers("r0@a", 12, "r0@a1", 1), three);
        List<Group> all = new ArrayList<>(List.of(atSigns, noRoom, order, rooms, twice, oneBegins, again, numbers));
        for (int queues = 0; queues < 10; queues++) {
            for (int clients = 1; clients < 4; clients++) {
                all.add(new Group(brokers("r0@a", queues / 2, "r1@a", queues - queues / 2), three.subList(0, clients)));
            }
        }
        return all;
    }

    private Group draw() {
        boolean inRooms = random.nextInt(8) > 0;
        List<String> names = new ArrayList<>(inRooms ? IN_ROOMS : ANYWHERE);
        Collections.shuffle(names, random);
        int most = random.nextBoolean() ? 16 : 5;
        Map<String, Integer> brokers = new LinkedHashMap<>();
        for (String name : names.subList(0, 1 + random.nextInt(4))) {
            brokers.put(name, 1 + random.nextInt(most));
        }
        List<String> clients = new ArrayList<>();
        int count = 1 + random.nextInt(20);
        int nets = 1 + random.nextInt(4);
        for (int i = 0; i < count; i++) {
            // A client that connects again is listed twice until the broker has noticed that the first connection is gone.
            boolean again = !clients.isEmpty() && random.nextInt(40) == 0;
            clients.add(again ? clients.get(random.nextInt(clients.size())) : client(nets));
        }
        Group group = new Group(brokers, clients);
        group.topic = TOPICS.get(random.nextInt(TOPICS.size()));
        List<String> rooms = new ArrayList<>(List.of("r0", "r1", "r2", "r3", "r10"));
        Collections.shuffle(rooms, random);
        group.rooms = rooms.subList(0, 1 + random.nextInt(4));
        group.nodes = NODES.get(random.nextInt(NODES.size()));
        List<Integer> config = new ArrayList<>();
        for (int place = 0; place < group.queues().size(); place++) {
            if (random.nextInt(8) == 0) {
                config.add(place);
            }
        }
        Collections.shuffle(config, random);
        group.config = config;
        return group;
    }

    private String client(int nets) {
        int host = random.nextInt(300);
        return "10." + random.nextInt(nets) + ".0." + host + "@" + (1 + random.nextInt(40_000)) + "#" + random.nextInt(1_000_000_000);
    }

    private static Map<String, Integer> brokers(Object... namesAndCounts) {
        Map<String, Integer> brokers = new LinkedHashMap<>();
        for (int i = 0; i < namesAndCounts.length; i += 2) {
            brokers.put((String) namesAndCounts[i], (Integer) namesAndCounts[i + 1]);
        }
        return brokers;
    }
}
